// Package audit compares what the monitor did with what it should have done: the stream folded by the plain reference,
// against the database, against what Telegram accepted, against the truth about the nodes.
package audit

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// Input is where to look.
type Input struct {
	NATSURL     string
	DatabaseURL string
	Settings    node.Settings // that the evaluators were started with
	Truth       []fleet.Node
	Messages    []telegramtest.Message // in the order in which Telegram accepted them
}

// Verdict is what was found. Every list but Repeats must be empty.
type Verdict struct {
	Acknowledged int // heartbeats answered 200
	Batches      int // messages of the stream
	Transitions  int // and monitor events, as the reference makes them
	Alerts       int // that were to be told
	Held         int // of those, not told one by one: their node flaps, or is silenced
	Notified     int // messages that Telegram accepted
	Refused      int // heartbeats answered 503 at every try
	Landed       int // of those, in the stream all the same: harmless, and not to happen when NATS was really off

	LostHeartbeats []string // acknowledged, not in the stream
	Missing        []string // events of the reference that the database lacks
	Extra          []string // events of the database that the reference lacks
	WrongStates    []string // nodes whose state in the database is not the reference's
	FalseLost      []string // told lost while the agent was reporting
	FalseDown      []string // down although the agent never said so
	WrongTruth     []string // nodes whose last state is not the truth
	Untold         []string // alerts without a message that Telegram accepted
	Unknown        []string // accepted messages that no notification stands for
	Miscounted     []string // digests whose counts are not those of what they tell
	Repeats        []Repeat
}

// Repeat is a message that Telegram accepted more than once.
type Repeat struct {
	Text string
	At   []time.Time // of each acceptance
}

// Errors are all findings that must not be.
func (v Verdict) Errors() []string {
	var out []string
	for _, f := range []struct {
		name string
		list []string
	}{
		{"acknowledged heartbeat lost", v.LostHeartbeats}, {"transition lost", v.Missing},
		{"transition too many", v.Extra}, {"wrong state", v.WrongStates}, {"false LOST", v.FalseLost},
		{"false DOWN", v.FalseDown}, {"state is not the truth", v.WrongTruth}, {"alert not told", v.Untold},
		{"message from nowhere", v.Unknown}, {"wrong count in a digest", v.Miscounted},
	} {
		for i, x := range f.list {
			if i == 10 {
				out = append(out, fmt.Sprintf("%s: and %d more", f.name, len(f.list)-i))
				break
			}
			out = append(out, f.name+": "+x)
		}
	}
	return out
}

func (v Verdict) String() string {
	return fmt.Sprintf("%d heartbeats acknowledged, %d lost; %d transitions, %d lost, %d too many; "+
		"%d false DOWN or LOST; %d alerts, %d not told; %d messages, %d repeated",
		v.Acknowledged, len(v.LostHeartbeats), v.Transitions, len(v.Missing), len(v.Extra),
		len(v.FalseLost)+len(v.FalseDown), v.Alerts, len(v.Untold), v.Notified, len(v.Repeats))
}

// Run looks once. The monitor must have come to rest: see Settle.
func Run(ctx context.Context, in Input) (Verdict, error) {
	var v Verdict
	steps, err := readStream(ctx, in.NATSURL)
	if err != nil {
		return v, err
	}
	db, err := readDatabase(ctx, in.DatabaseURL)
	if err != nil {
		return v, err
	}
	v.Batches = len(steps)
	v.heartbeats(in.Truth, steps)
	v.transitions(in, steps, db)
	v.truth(in.Truth, db)
	v.told(db, in.Messages)
	return v, nil
}

// heartbeats looks for every acknowledged heartbeat in the stream.
func (v *Verdict) heartbeats(truth []fleet.Node, steps []nodetest.Step) {
	stored := make(map[string]bool)
	for _, s := range steps {
		for _, h := range s.Heartbeats {
			stored[h.NodeID+" "+h.Meta+" "+h.Status] = true
		}
	}
	for _, n := range truth {
		for _, a := range n.Refused {
			v.Refused++
			if stored[n.ID+" "+a.Meta+" "+a.Status] {
				v.Landed++
			}
		}
		for _, a := range n.Acked {
			v.Acknowledged++
			if key := n.ID + " " + a.Meta + " " + a.Status; !stored[key] {
				v.LostHeartbeats = append(v.LostHeartbeats, key+" acknowledged at "+a.At.Format(time.RFC3339Nano))
			}
		}
	}
}

// transitions compares the database with the reference fold, line by line.
func (v *Verdict) transitions(in Input, steps []nodetest.Step, db database) {
	want, states := nodetest.Reference(in.Settings, steps)
	v.Transitions = len(want)
	have := make(map[string]bool, len(db.events))
	for _, e := range db.events {
		have[nodetest.Line(e.Event)] = true
	}
	for _, line := range want {
		if !have[line] {
			v.Missing = append(v.Missing, line)
		}
		delete(have, line)
	}
	for line := range have {
		v.Extra = append(v.Extra, line)
	}
	for id, want := range states {
		if got := db.states[id]; got != want {
			v.WrongStates = append(v.WrongStates, fmt.Sprintf("%s is %q, want %q", id, got, want))
		}
	}
	for id := range db.states {
		if _, ok := states[id]; !ok {
			v.WrongStates = append(v.WrongStates, id+" should not be there")
		}
	}
}

// truth compares events and last states with what the nodes really were.
func (v *Verdict) truth(truth []fleet.Node, db database) {
	for _, n := range truth {
		for _, e := range db.events {
			if e.NodeID != n.ID {
				continue
			}
			switch {
			case e.To == node.Lost && !e.Quiet && n.Reporting(e.Since.Time(), e.At.Time()):
				v.FalseLost = append(v.FalseLost, fmt.Sprintf("%s, heard at %s, lost at %s", n.ID,
					e.Since.Time().Format(time.RFC3339Nano), e.At.Time().Format(time.RFC3339Nano)))
			case e.To == node.Down && !n.SaidDown(e.At.Time()):
				v.FalseDown = append(v.FalseDown, fmt.Sprintf("%s at %s", n.ID, e.At.Time().Format(time.RFC3339Nano)))
			}
		}
		if len(n.Spans) == 0 || len(n.Acked) == 0 {
			continue
		}
		if is, want := strings.Fields(db.states[n.ID] + " -")[0], expected[n.Phase()]; is != want {
			v.WrongTruth = append(v.WrongTruth, fmt.Sprintf("%s is %s, want %s", n.ID, is, want))
		}
	}
}

var expected = map[fleet.Phase]string{fleet.Works: "up", fleet.Reports: "down", fleet.Silent: "lost"}

// told compares alerts, notifications and what Telegram accepted.
func (v *Verdict) told(db database, messages []telegramtest.Message) {
	v.Notified = len(messages)
	accepted := make(map[string][]time.Time)
	for _, m := range messages {
		accepted[m.Chat+"\n"+m.Text] = append(accepted[m.Chat+"\n"+m.Text], m.At)
	}
	frozen := make(map[string]int)
	for _, n := range db.notifications {
		frozen[n]++
	}
	for key, times := range accepted {
		switch n := frozen[key]; {
		case n == 0:
			v.Unknown = append(v.Unknown, key)
		case len(times) > n:
			v.Repeats = append(v.Repeats, Repeat{Text: key, At: times})
		}
	}
	digests := make(map[int64]map[string]bool) // what each tells, by node or kind
	for _, e := range db.events {
		if e.Quiet {
			continue
		}
		v.Alerts++
		if db.held[e.ID.String()] != "" {
			v.Held++
			continue
		}
		key, ok := db.told[e.ID.String()]
		text := db.notifications[key]
		switch {
		case !ok || len(accepted[text]) == 0:
			v.Untold = append(v.Untold, nodetest.Line(e.Event))
		case !strings.Contains(text, e.NodeID):
			digests[key] = make(map[string]bool)
		}
	}
	v.count(db, digests)
}

// count checks that digests, which do not name all nodes, count them.
func (v *Verdict) count(db database, digests map[int64]map[string]bool) {
	for _, e := range db.events {
		if of := digests[db.told[e.ID.String()]]; of != nil && !e.Quiet {
			of[entry(e.Event)] = true
		}
	}
	for key, of := range digests {
		if n := total(db.notifications[key]); n != len(of) {
			v.Miscounted = append(v.Miscounted, fmt.Sprintf("%d instead of %d: %s", n, len(of), db.notifications[key]))
		}
	}
}

// entry is what a digest counts as one.
func entry(e node.Event) string {
	switch e.Kind {
	case node.Changed, node.Joined:
		return e.NodeID
	case node.Hearing:
		return string(node.Deaf)
	}
	return string(e.Kind) + " " + e.NodeID
}

var (
	title  = regexp.MustCompile(`<b>Gensyn: ([^<]*)</b>`)
	number = regexp.MustCompile(`[0-9][0-9,\x{a0}]*`)
)

// total adds up the numbers in a digest's title.
func total(text string) (sum int) {
	found := title.FindStringSubmatch(text)
	if found == nil {
		return 0
	}
	for _, n := range number.FindAllString(found[1], -1) {
		n, err := strconv.Atoi(strings.NewReplacer(",", "", "\u00a0", "").Replace(n))
		if err == nil {
			sum += n
		}
	}
	return sum
}
