package node

import (
	"fmt"
	"time"
)

// MinThreshold is the shortest default threshold: ingest pulses every half second, so less could not be observed.
const MinThreshold = 2 * time.Second

// MaxThreshold keeps twice a threshold within the range of a time.Duration, and a typing error visible.
const MaxThreshold = 30 * 24 * time.Hour

// CheckThreshold says what is wrong with a node's own threshold, given the settings; 0 means the default is fine.
func CheckThreshold(t time.Duration, s Settings) error {
	if t == 0 {
		return nil
	}
	if least := 2 * s.Gap(); t < least || t > MaxThreshold {
		return fmt.Errorf("threshold %v: must be from %v to %v", t, least, MaxThreshold)
	}
	return nil
}

// Check says what is wrong with settings.
func (s Settings) Check() error {
	if s.Threshold < MinThreshold || s.Threshold > MaxThreshold {
		return fmt.Errorf("threshold %v: must be from %v to %v", s.Threshold, MinThreshold, MaxThreshold)
	}
	if s.MaxNodes < 1 {
		return fmt.Errorf("max nodes %d: must be at least 1", s.MaxNodes)
	}
	return nil
}

// command folds a command. One that cannot be carried out changes nothing: its sender checked it before.
func (f *Fold) command(c *Command) {
	switch {
	case c.Settings != nil:
		f.configure(*c.Settings)
		return
	case c.Import != nil:
		for i := range c.Import {
			f.adopt(&c.Import[i], c.By)
		}
		return
	}
	n := f.nodes.find(c.NodeID)
	if n == nil {
		return
	}
	switch {
	case c.Delete:
		f.remove(n, c.By)
	case c.Name != nil:
		f.nodes.set(n, textName, *c.Name)
		f.touch(n)
	case c.Threshold != nil && CheckThreshold(*c.Threshold, f.clock.Settings) == nil:
		n.threshold = *c.Threshold
		f.touch(n)
		f.arm(n)
	}
}

// configure changes the settings and with them every deadline.
func (f *Fold) configure(s Settings) {
	if s.Check() != nil {
		return
	}
	f.clock.Settings = s
	for n := range f.nodes.all() {
		f.arm(n)
	}
}

// remove forgets a node, but not that it was deleted: should it report again, people want to know.
func (f *Fold) remove(n *record, by string) {
	e := f.event(n, Deleted)
	e.From, e.By, e.Quiet = n.State(), by, true
	f.emit(e)
	if f.undecided(n) {
		f.deaf--
	}
	f.counts[n.State()]--
	f.disarm(n)
	f.pending.drop(n)
	f.pending.removed[e.NodeID] = struct{}{}
	f.bury(e.NodeID, f.clock.Position.Stamp)
	f.nodes.remove(n)
}
