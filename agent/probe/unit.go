package probe

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/agent/command"
)

// Unit passes when a systemd unit is active.
type Unit struct{ Name string }

// Check implements Probe.
func (u *Unit) Check(ctx context.Context) Result {
	out, err := command.Run(ctx, listTimeout, "systemctl", "show", "--property=LoadState,ActiveState,SubState,Result,NRestarts", "--", u.Name)
	if err != nil {
		why := err.Error()
		if errors.Is(err, exec.ErrNotFound) {
			why = "systemd is not installed"
		}
		return Result{Reason: ReasonUnseen, Evidence: fmt.Sprintf("unit %s: %s", u.Name, why), Blind: true}
	}
	is := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		is[name] = value
	}
	switch {
	case is["LoadState"] == "not-found":
		return Result{Reason: ReasonUnitDown, Evidence: fmt.Sprintf("unit %s does not exist", u.Name)}
	case is["ActiveState"] == "active" || is["ActiveState"] == "reloading":
		return Result{Saw: fmt.Sprintf("%s (%s), restarted %s times", is["ActiveState"], is["SubState"], is["NRestarts"])}
	}
	evidence := fmt.Sprintf("unit %s: %s (%s)", u.Name, is["ActiveState"], is["SubState"])
	if r := is["Result"]; r != "" && r != "success" {
		evidence += ", result " + r
	}
	return Result{Reason: ReasonUnitDown, Evidence: evidence}
}
