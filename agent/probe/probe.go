// Package probe looks at one machine: each probe is one check that passes or says why it failed.
package probe

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// The reasons of failed probes. ReasonPortClosed is followed by the port. Profiles of workloads and settings have more.
const (
	ReasonNoScreen       = "no_screen"
	ReasonNoProcess      = "no_process"
	ReasonNoScreenNoProc = "no_screen_no_proc" // both of the above
	ReasonPortClosed     = "port_closed_"
	ReasonUnsupported    = "probe_unsupported" // this system offers no way to look
	ReasonNoTmux         = "no_tmux"
	ReasonNoContainer    = "no_container"
	ReasonContainerDown  = "container_down"
	ReasonUnhealthy      = "container_unhealthy"
	ReasonUnitDown       = "unit_down"
	ReasonHTTPFailed     = "http_failed" // no answer
	ReasonHTTPStatus     = "http_status" // an answer of another status
	ReasonHTTPText       = "http_text"   // an answer without the text
	ReasonStaleLog       = "stale_log"
	ReasonCommandFailed  = "command_failed"
	ReasonCommandTimeout = "command_timeout"
	ReasonUnseen         = "probe_unseen" // this user may not look
)

// Result is what a probe found. The zero Result means that it passed.
type Result struct {
	Reason   string // why it failed, a short code
	Evidence string // the same in plain words
	Saw      string // what was there when it passed, if that is worth telling
	Blind    bool   // it failed since it could not look, so nobody knows
}

// Passed reports whether nothing was wrong.
func (r Result) Passed() bool { return r.Reason == "" }

// Probe is one check. Check returns soon after ctx ends; its result means nothing then.
type Probe interface {
	Check(ctx context.Context) Result
}

// CheckAll runs all probes, side by side, and returns their results in the same order.
func CheckAll(ctx context.Context, probes []Probe) []Result {
	results := make([]Result, len(probes))
	var wg sync.WaitGroup
	for i, p := range probes {
		wg.Go(func() { results[i] = p.Check(ctx) })
	}
	wg.Wait()
	return results
}

// Verdict makes one result of several: the reason is that of the first failure, except that a screen session and a
// process that are both missing have a reason of their own; the evidence is that of all failures. Those that could not
// look count when nothing else failed.
func Verdict(results []Result) Result {
	var v Result
	failed := make(map[string]bool)
	var evidence []string
	seen := slices.ContainsFunc(results, func(r Result) bool { return !r.Passed() && !r.Blind })
	v.Blind = !seen && slices.ContainsFunc(results, func(r Result) bool { return r.Blind })
	for _, r := range results {
		if r.Passed() || seen && r.Blind {
			continue
		}
		if v.Reason == "" {
			v.Reason = r.Reason
		}
		failed[r.Reason] = true
		evidence = append(evidence, r.Evidence)
	}
	if failed[ReasonNoScreen] && failed[ReasonNoProcess] {
		v.Reason = ReasonNoScreenNoProc
	}
	v.Evidence = strings.Join(evidence, "; ")
	return v
}
