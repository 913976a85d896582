package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
)

// tolerated is how far the clocks of agent and monitor may be apart before it is called a trouble: certificates and the
// times of annotations depend on them.
const tolerated = 5 * time.Second

// Check looks at all that an agent with this configuration depends on, and sends no heartbeat. It leaves the state of
// an agent that runs meanwhile alone. The error is a setting that is not allowed.
func Check(ctx context.Context, c Config, m Machine) ([]probe.Finding, error) {
	state, stateErr := m.stateDir(c.StateDir)
	c.StateDir, m.StateDirs = "", nil // without room for a copy it looks as an agent that begins anew
	if copied, err := os.MkdirTemp("", "gensyn-agent-check-*"); err == nil {
		defer os.RemoveAll(copied)
		copyState(state, copied)
		c.StateDir = copied
	}
	p, err := m.parts(c)
	if err != nil {
		return nil, err
	}
	defer p.servers.Close()
	out := p.checkServers(ctx, time.Now)
	out = append(out, p.checkAddress(ctx, c), checkState(state, stateErr))
	if c.OnDown.Command != "" {
		out = append(out, checkOnDown(c, state))
	}
	reports, findings := p.profile.Probe(ctx)
	out = append(out, findings...)
	return append(out, p.checkNodes(c, reports)...), ctx.Err()
}

// copyState copies the files of a state; what cannot be read is left out.
func copyState(from, to string) {
	entries, err := os.ReadDir(from)
	if from == "" || err != nil {
		return
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || e.Name() == OutputFile {
			continue
		}
		if data, err := os.ReadFile(filepath.Join(from, e.Name())); err == nil {
			_ = os.WriteFile(filepath.Join(to, e.Name()), data, 0o600)
		}
	}
}

// checkServers asks each address whether it would take heartbeats, and how the clocks compare.
func (p *parts) checkServers(ctx context.Context, now func() time.Time) []probe.Finding {
	var out []probe.Finding
	for _, c := range p.clients {
		begun := now()
		f := probe.Finding{Probe: "server " + strings.TrimSuffix(c.endpoint, "/api/heartbeat"), Verdict: probe.VerdictOK}
		err := c.Knock(ctx)
		f.Saw = fmt.Sprintf("it is a monitor and takes the token (%v)", now().Sub(begun).Round(time.Millisecond))
		if err != nil {
			f.Verdict = probe.VerdictFailed
			f.Saw, f.Mend = splitAdvice(err.Error())
			if failure, ok := errors.AsType[*SendError](err); ok && failure.Status == 0 && f.Mend == "" {
				f.Mend = mendUnreached
			}
		}
		out = append(out, f)
		if offset, ok := c.Offset(); ok {
			out = append(out, checkClock(c.host, offset))
		}
	}
	return out
}

// mendUnreached is what to do when there was no answer at all.
const mendUnreached = "see whether the monitor runs, SERVER_URL is right as seen from this machine (0.0.0.0 is no address to ask), " +
	"and no firewall between refuses its port"

// splitAdvice separates what an error says from what to do about it.
func splitAdvice(text string) (saw, mend string) {
	if i := strings.LastIndex(text, ": "); i >= 0 {
		for _, word := range []string{"check ", "set ", "SERVER_URL must", "SHARED_SECRET is", "renew "} {
			if strings.HasPrefix(text[i+2:], word) {
				return text[:i], text[i+2:]
			}
		}
	}
	return text, ""
}

func checkClock(host string, offset time.Duration) probe.Finding {
	f := probe.Finding{Probe: "clock", Saw: fmt.Sprintf("as that of %s, to a second", host), Verdict: probe.VerdictOK}
	if offset.Abs() <= tolerated {
		return f
	}
	f.Verdict, f.Mend = probe.VerdictFailed, "set this machine's clock (Linux: timedatectl set-ntp true), or the monitor's"
	f.Saw = fmt.Sprintf("%v behind that of %s", offset, host)
	if offset < 0 {
		f.Saw = fmt.Sprintf("%v ahead of that of %s", -offset, host)
	}
	return f
}

func (p *parts) checkAddress(ctx context.Context, c Config) probe.Finding {
	f := probe.Finding{Probe: "address of this machine", Verdict: probe.VerdictOK}
	if f.Saw = p.address.Find(ctx); f.Saw == "" {
		f.Verdict = probe.VerdictUnseen
		f.Saw, f.Mend = "IP_CMD ("+c.IPCommand+") gave none: the monitor shows the one that heartbeats come from", "set IP_CMD"
	}
	return f
}

func checkState(dir string, err error) probe.Finding {
	f := probe.Finding{Probe: "state", Saw: dir, Verdict: probe.VerdictOK}
	if err != nil {
		f.Verdict, f.Saw, f.Mend = probe.VerdictFailed, err.Error(), "set STATE_DIR to a directory that the agent may write to"
	}
	return f
}

// checkOnDown says whether the command would run.
func checkOnDown(c Config, state string) probe.Finding {
	f := probe.Finding{Probe: "ON_DOWN_CMD", Verdict: probe.VerdictOK}
	f.Saw = fmt.Sprintf("runs after %d heartbeats down, at most %d times an hour", c.OnDown.After, c.OnDown.PerHour)
	if file := c.OnDown.StopFile; file != "" {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			f.Verdict, f.Saw, f.Mend = probe.VerdictUnseen, "it does not run: "+file+" is there", "delete that file"
		}
	}
	if state != "" {
		f.Saw += "; its last output: " + filepath.Join(state, OutputFile)
	}
	return f
}

// checkNodes says as what each node would be reported.
func (p *parts) checkNodes(c Config, reports []probe.Report) []probe.Finding {
	names := make([]string, len(reports))
	for i, r := range reports {
		names[i] = r.Name
	}
	ids := p.state.identify(c.NodeID, names)
	var out []probe.Finding
	for _, r := range reports {
		f := probe.Finding{Probe: "node " + ids[r.Name], Verdict: probe.VerdictOK, Saw: r.Status}
		if r.Reason != "" {
			f.Saw += ", " + r.Reason + ": " + r.Evidence
		}
		if r.Status != probe.StatusUp {
			f.Verdict = probe.VerdictFailed
		}
		out = append(out, f)
	}
	return out
}

// Forget ends the reports of a node of this machine that is gone. forgotten is not nil when it is not known; err is a
// setting that is not allowed.
func Forget(c Config, m Machine, name string) (forgotten, err error) {
	p, err := m.parts(c)
	if err != nil {
		return nil, err
	}
	defer p.servers.Close()
	if p.dir == "" {
		return errors.New(strings.Join(p.notes, "; ")), nil
	}
	// People see ids.
	for known, id := range p.state.kept.IDs {
		if id == name {
			name = known
			break
		}
	}
	return p.profile.Forget(name), nil
}
