package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/proc"
)

// dockerSockets are where Docker, and podman in its place, answer.
var dockerSockets = []string{"/var/run/docker.sock", "/run/podman/podman.sock"}

const (
	dockerTimeout  = 5 * time.Second
	maxInspectText = 1 << 20
)

// Container passes when a container runs, and is not unhealthy if it has a health check. Without access to the engine's
// socket, one that is named by its id counts as running when a process is in it.
type Container struct {
	Name    string   // or id
	Sockets []string // of engines, the first that answers counts
	Root    string   // the proc file system

	table *proc.Table
}

// Check implements Probe.
func (c *Container) Check(ctx context.Context) Result {
	var denied error
	for _, socket := range c.Sockets {
		result, err := c.ask(ctx, socket)
		if err == nil {
			return result
		}
		if !errors.Is(err, fs.ErrNotExist) {
			denied = err
		}
	}
	if isContainerID(c.Name) {
		return c.search(ctx)
	}
	if denied == nil {
		return Result{Reason: ReasonNoContainer, Evidence: fmt.Sprintf("container %s: no container engine runs here", c.Name)}
	}
	why := denied.Error()
	if errors.Is(denied, fs.ErrPermission) {
		why = "this user may not ask the container engine; a full id can be found without it"
	}
	return Result{Reason: ReasonUnseen, Evidence: fmt.Sprintf("container %s: %s", c.Name, why), Blind: true}
}

// state is what an engine says of a container.
type state struct {
	State struct {
		Status    string
		Running   bool
		OOMKilled bool
		ExitCode  int
		Health    *struct{ Status string }
	}
	RestartCount int
}

// ask asks an engine. An error means that it does not answer.
func (c *Container) ask(ctx context.Context, socket string) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, dockerTimeout)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/containers/"+url.PathEscape(c.Name)+"/json", nil)
	if err != nil {
		return Result{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return Result{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return Result{Reason: ReasonNoContainer, Evidence: fmt.Sprintf("container %s does not exist", c.Name)}, nil
	}
	var s state
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxInspectText)).Decode(&s); err != nil || resp.StatusCode != http.StatusOK {
		return Result{}, fmt.Errorf("the container engine answered %s", resp.Status)
	}
	return c.judge(s), nil
}

func (c *Container) judge(s state) Result {
	switch {
	case !s.State.Running:
		evidence := fmt.Sprintf("container %s: %s with exit status %d", c.Name, s.State.Status, s.State.ExitCode)
		if s.State.OOMKilled {
			evidence += ", killed for want of memory"
		}
		return Result{Reason: ReasonContainerDown, Evidence: evidence}
	case s.State.Status == "paused" || s.State.Status == "restarting":
		return Result{Reason: ReasonContainerDown, Evidence: fmt.Sprintf("container %s: %s", c.Name, s.State.Status)}
	case s.State.Health != nil && s.State.Health.Status == "unhealthy":
		return Result{Reason: ReasonUnhealthy, Evidence: fmt.Sprintf("container %s: its health check fails", c.Name)}
	}
	return Result{Saw: fmt.Sprintf("%s, restarted %d times", s.State.Status, s.RestartCount)}
}

// isContainerID reports whether a name can only be an id: at least the twelve digits that docker ps shows.
func isContainerID(s string) bool {
	return len(s) >= 12 && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// search looks for a process in the container.
func (c *Container) search(ctx context.Context) Result {
	if c.table == nil {
		c.table = proc.Open(c.Root, nil)
	}
	pid, err := c.table.InContainer(ctx, c.Name)
	switch {
	case err != nil:
		return Result{Reason: ReasonUnseen, Evidence: fmt.Sprintf("container %s: %v", c.Name, err), Blind: true}
	case pid == 0:
		return Result{Reason: ReasonContainerDown, Evidence: fmt.Sprintf("container %s: no process is in it", c.Name)}
	}
	return Result{Saw: fmt.Sprintf("process %d is in it", pid)}
}
