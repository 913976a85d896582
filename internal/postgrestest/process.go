package postgrestest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/childprocess"
)

// process is a running postmaster.
type process struct {
	cmd *exec.Cmd
	*childprocess.Child
}

// launch starts the postmaster, which shuts down at once when this process ends.
func (s *Server) launch() (*process, error) {
	cmd, log, err := s.command()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	child, err := childprocess.Start(cmd, syscall.SIGQUIT)
	if err != nil {
		return nil, err
	}
	return &process{cmd: cmd, Child: child}, nil
}

func (s *Server) command() (*exec.Cmd, *os.File, error) {
	fsync := "off"
	if s.options.Fsync {
		fsync = "on"
	}
	args := []string{"-D", s.data()}
	for _, setting := range append([]string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.port), "unix_socket_directories=",
		"fsync=" + fsync, "full_page_writes=" + fsync, "max_connections=300", "shared_buffers=64MB",
		"log_min_messages=warning",
	}, s.options.Settings...) {
		args = append(args, "-c", setting)
	}
	if s.options.primary != "" {
		args = append(args, "-c", "primary_conninfo="+s.options.primary)
	}
	env, err := s.clockEnvironment()
	if err != nil {
		return nil, nil, err
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, env, log, log
	s.account.apply(cmd)
	return cmd, log, nil
}

// end signals the postmaster and waits until it ended, more firmly after a while.
func (p *process) end(sig syscall.Signal) error {
	for _, sig := range []syscall.Signal{sig, syscall.SIGQUIT, syscall.SIGKILL} {
		var left []int
		if sig == syscall.SIGKILL {
			left = children(p.cmd.Process.Pid)
		}
		if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		select {
		case <-p.Done():
			for _, child := range left {
				if c, err := os.FindProcess(child); err == nil {
					_ = c.Kill() // it may have ended
				}
			}
			return nil
		case <-time.After(stopLimit):
		}
	}
	return fmt.Errorf("process %d does not end", p.cmd.Process.Pid)
}
