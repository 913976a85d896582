package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// acceptedFile, in the directory for the state, was last written to when the monitor last accepted a report.
const acceptedFile = "accepted"

// accepted notes that the monitor accepted a report. It is for Healthy alone, so that trouble with it is none.
func (s *State) accepted() {
	if s.file != "" {
		_ = os.WriteFile(filepath.Join(filepath.Dir(s.file), acceptedFile), nil, 0o600)
	}
}

// Healthy says what is wrong with the agent that runs with these settings on this machine, for containers: the monitor
// should have accepted a report within three intervals and a minute before now.
func Healthy(c Config, m Machine, now time.Time) error {
	dir, err := m.stateDir(c.StateDir)
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(dir, acceptedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the monitor has accepted no report yet")
	}
	if err != nil {
		return err
	}
	if age := now.Sub(info.ModTime()); age > 3*c.Interval+time.Minute {
		return fmt.Errorf("the monitor has accepted no report for %v", age.Round(time.Second))
	}
	return nil
}
