package main

import (
	"context"
	"fmt"

	"golang.org/x/sys/windows/svc"

	"github.com/gensyn-monitor/gensyn-monitor/agent/install"
)

// asService runs the agent for the service manager of Windows.
func asService(ctx context.Context, run func(context.Context) int) (int, error) {
	h := &handler{ctx: ctx, run: run}
	if err := svc.Run(install.ServiceName, h); err != nil {
		return failed, fmt.Errorf("--service is for the service manager alone: %w", err)
	}
	return h.code, nil
}

// handler lets serve speak with the service manager.
type handler struct {
	ctx  context.Context
	run  func(context.Context) int
	code int
}

// Execute implements svc.Handler.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (bool, uint32) {
	orders := make(chan order)
	over := make(chan struct{})
	defer close(over)
	go func() {
		for r := range requests {
			select {
			case orders <- orderOf(r.Cmd):
			case <-over:
				return
			}
		}
	}()
	h.code = serve(h.ctx, h.run, orders, func(s stage) { changes <- status(s) })
	// An end with a failure makes the manager start it again.
	return true, uint32(h.code)
}

func orderOf(c svc.Cmd) order {
	switch c {
	case svc.Stop, svc.Shutdown:
		return orderStop
	case svc.Interrogate:
		return orderTell
	}
	return orderOther
}

func status(s stage) svc.Status {
	switch s {
	case stageStarting:
		return svc.Status{State: svc.StartPending}
	case stageRunning:
		return svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	case stageStopping:
		return svc.Status{State: svc.StopPending}
	}
	// The manager is told of the end when Execute returns, with the exit code.
	return svc.Status{State: svc.StopPending}
}
