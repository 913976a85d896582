package main

import (
	"context"
	"testing"
)

// manager plays the service manager.
type manager struct {
	orders chan order
	told   chan stage
	code   chan int
}

func startService(t *testing.T, run func(context.Context) int) *manager {
	t.Helper()
	m := &manager{orders: make(chan order), told: make(chan stage, 100), code: make(chan int, 1)}
	go func() { m.code <- serve(t.Context(), run, m.orders, func(s stage) { m.told <- s }) }()
	m.want(t, stageStarting, stageRunning)
	return m
}

func (m *manager) want(t *testing.T, stages ...stage) {
	t.Helper()
	for _, want := range stages {
		if got := <-m.told; got != want {
			t.Fatalf("stage %d, want %d of %v", got, want, stages)
		}
	}
}

// untilStopped ends with the context, when the test lets it.
func untilStopped(let <-chan struct{}, code int) func(context.Context) int {
	return func(ctx context.Context) int {
		<-ctx.Done()
		<-let
		return code
	}
}

func TestAServiceStops(t *testing.T) {
	let := make(chan struct{})
	m := startService(t, untilStopped(let, succeeded))
	m.orders <- orderOther
	m.orders <- orderTell
	m.want(t, stageRunning)
	m.orders <- orderStop
	m.want(t, stageStopping)
	m.orders <- orderTell // it is asked again and again while it stops
	m.want(t, stageStopping)
	m.orders <- orderStop
	m.want(t, stageStopping)
	close(let)
	m.want(t, stageStopped)
	if code := <-m.code; code != succeeded {
		t.Errorf("exit status %d", code)
	}
}

// TestAServiceThatEndsByItselfSaysSo with its status, so that the manager starts it again.
func TestAServiceThatEndsByItselfSaysSo(t *testing.T) {
	m := startService(t, func(context.Context) int { return misused })
	m.want(t, stageStopped)
	if code := <-m.code; code != misused {
		t.Errorf("exit status %d", code)
	}
	if left := len(m.told); left != 0 {
		t.Errorf("%d more stages", left)
	}
}

func TestAManagerThatGoesAwayStopsTheService(t *testing.T) {
	let := make(chan struct{})
	close(let)
	m := startService(t, untilStopped(let, succeeded))
	close(m.orders)
	m.want(t, stageStopping, stageStopped)
	<-m.code
}
