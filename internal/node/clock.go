package node

import (
	"maps"
	"time"
)

// Position is how far the stream is folded.
type Position struct {
	Epoch   int64  `json:"epoch"`   // grows when the stream turns out to be another one
	Created Stamp  `json:"created"` // when the stream was created; tells streams apart
	Seq     uint64 `json:"seq"`     // 0 before the first message
	Stamp   Stamp  `json:"stamp"`   // of the message at Seq
}

// Clock is what the fold keeps besides nodes. It is stored in the same transaction as the nodes it belongs to.
type Clock struct {
	Position Position      `json:"position"`
	W        time.Duration `json:"w"`     // the observation clock: how long the monitor has really been able to hear
	Batch    Stamp         `json:"batch"` // of the last batch: W counts from batch to batch
	// Back is how far Batch lies behind the highest stamp since the last blind span: W counts each moment once.
	Back     time.Duration `json:"back,omitempty"`
	BlindEnd time.Duration `json:"blind_end"` // W at the end of the last blind span
	// Torn is set when the stream was found to be another one: the next message ends a blind span, whatever its stamp.
	Torn bool `json:"torn,omitempty"`

	Accepted  Stamp          `json:"accepted"`   // of the last message with a heartbeat
	AcceptedW time.Duration  `json:"accepted_w"` // likewise
	Refused   map[string]int `json:"refused,omitempty"`
	Deaf      bool           `json:"deaf,omitempty"`

	Settings Settings `json:"settings"`
	// Counts is how many nodes are in each state that any is in, so that nobody has to count them.
	Counts   map[State]int `json:"counts,omitempty"`
	Overflow int64         `json:"overflow,omitempty"` // heartbeats of unknown nodes beyond MaxNodes
}

// Gap is G of the rules: the longest step between stamps that still counts as observed.
func (s Settings) Gap() time.Duration { return min(10*time.Second, s.Threshold/2) }

// tick advances the observation clock to a batch's stamp, or finds that the span before it was blind. Commands do not
// move the clock: that somebody at the page is heard does not show that a node would be. Nor do batches of an ingest
// that is unsure: agents may have been answered 503 all the while.
//
// Stamps may flip back and forth by a little, at every message. Were each step forward added, W would run ahead of true
// time, so it follows the highest stamp. It stands still for G at most: further back than that is a blind span, from
// which the highest stamp is sought anew.
func (f *Fold) tick(stamp Stamp) {
	c := &f.clock
	prev := c.Batch
	c.Batch = stamp
	if prev == 0 && !c.Torn {
		return // the first message ever: nothing was observed before it
	}
	d, g := time.Duration(stamp-prev), c.Settings.Gap()
	back := c.Back - d
	switch {
	case c.Torn || d > g || d < -g || back > g:
		c.Torn, c.Back = false, 0
		f.blind(prev, stamp)
	case back > 0:
		c.Back = back
	default:
		c.Back = 0
		c.W -= back
	}
}

// blind gives every node a full threshold from here, within the limit that deadline sets.
func (f *Fold) blind(from, to Stamp) {
	f.clock.BlindEnd = f.clock.W
	lasted := to.Since(from)
	f.emit(Event{Kind: Blind, At: to, Since: from, Lasted: lasted, Quiet: lasted < f.clock.Settings.Threshold/2})
}

// accept notes that a heartbeat came through the front door, which ends a deaf span.
func (f *Fold) accept(stamp Stamp) {
	c := &f.clock
	if c.Deaf {
		f.hear(stamp)
	}
	c.Accepted, c.AcceptedW, c.Refused = stamp, c.W, nil
}

// hear ends a deaf span. The span counts as blind, so the clock returns to where it stood when the last
// heartbeat was accepted: nobody was heard after that. Only nodes that were imported after it are ahead of it: they have
// a full threshold from here as all others have, and no more.
func (f *Fold) hear(stamp Stamp) {
	c := &f.clock
	c.Deaf = false
	c.W = c.AcceptedW
	c.BlindEnd = c.W
	f.emit(Event{
		Kind: Hearing, At: stamp, Since: c.Accepted, Lasted: stamp.Since(c.Accepted),
		Nodes: f.deaf, Refused: c.Refused,
	})
	for n := range f.nodes.all() { // W went back, and deadlines with it
		if n.heardW > c.W {
			n.heardW = c.W
			f.touch(n)
		}
		f.arm(n)
	}
}

// refuse adds up what ingest refused since the last accepted heartbeat.
func (f *Fold) refuse(refused map[string]int) {
	if len(refused) == 0 {
		return
	}
	if f.clock.Refused == nil {
		f.clock.Refused = make(map[string]int, len(refused))
	}
	for status, n := range refused {
		f.clock.Refused[status] += n
	}
}

func (c Clock) clone() Clock {
	c.Refused, c.Counts = maps.Clone(c.Refused), maps.Clone(c.Counts)
	return c
}
