package ondown

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/tail"
)

// maxOutput is how much of the output of commands is kept.
const maxOutput = 64 << 10

// killDelay is how long a command that is asked to end may take before it is killed.
const killDelay = 5 * time.Second

// Command runs a command of the shell. What it prints goes to a file and not to a pipe: what it leaves behind, such as
// a node that it started, may go on printing there.
type Command struct {
	Text    string
	Timeout time.Duration
	Output  string                        // the file; it keeps the last output
	Mask    func(lines []string) []string // hides secrets in what is kept
	Environ []string                      // of the command, besides what tells of the node
}

// Run runs it for a node, of which the command's environment tells. The command and all that it started in its process
// group are killed when it takes too long or ctx ends.
func (c Command) Run(ctx context.Context, n Node) Result {
	began := time.Now()
	result := c.run(ctx, n)
	result.Took = time.Since(began)
	return result
}

func (c Command) run(ctx context.Context, n Node) Result {
	out, err := os.OpenFile(c.Output, os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return Result{Reason: ReasonFailed, Exit: err.Error()}
	}
	defer out.Close()
	timed, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	cmd := shell(timed, c.Text)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = killDelay
	cmd.Env = append(c.Environ,
		"GENSYN_NODE_ID="+n.ID, "GENSYN_NODE_NAME="+n.Name, "GENSYN_REASON="+n.Reason, "GENSYN_EVIDENCE="+n.Evidence,
		"GENSYN_DIR="+n.Dir, "GENSYN_SUPERVISOR="+n.Supervisor)
	err = cmd.Run()
	if timed.Err() != nil {
		killGroup(cmd)
	}
	result := Result{Reason: ReasonEnded, Exit: "exit status 0", Last: c.keep()}
	switch {
	case ctx.Err() != nil:
		result.Reason, result.Exit = ReasonStopped, "stopped"
	case timed.Err() != nil:
		result.Reason, result.Exit = ReasonTimeout, fmt.Sprintf("killed after %v", c.Timeout)
	case err != nil:
		result.Reason, result.Exit = ReasonFailed, err.Error()
	}
	return result
}

// Trim keeps the file within bounds: what a command left behind may print for ever. The file is cut in place, and who
// appends to it goes on at its new end.
func (c Command) Trim() {
	if info, err := os.Stat(c.Output); err == nil && info.Size() > maxOutput {
		c.keep()
	}
}

// keep hides secrets in the output, cuts it to its end, and returns the last line of it that is not blank. Colours and
// the like go first: they could stand in the middle of a secret.
func (c Command) keep() string {
	text, err := lastPart(c.Output)
	if err != nil {
		return ""
	}
	var out strings.Builder
	last := ""
	for _, line := range c.Mask(tail.Lines(text)) {
		out.WriteString(line + "\n")
		if s := strings.TrimSpace(line); s != "" {
			last = s
		}
	}
	// It cannot be written anew beside and renamed: who prints holds the old one open.
	_ = os.WriteFile(c.Output, []byte(out.String()), 0o600)
	return last
}

// lastPart returns the last part of a file, without the line that is cut.
func lastPart(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	from := max(size-maxOutput/4, 0)
	text := make([]byte, size-from)
	n, err := f.ReadAt(text, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	text = text[:n]
	if from > 0 {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text, nil
}

// shell prepares a command so that all it starts is one group.
func shell(ctx context.Context, text string) *exec.Cmd {
	name, args := shellArgs(text)
	cmd := exec.CommandContext(ctx, name, args...)
	group(cmd)
	return cmd
}
