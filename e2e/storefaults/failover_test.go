package storefaults_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/link"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/postgres"
)

// pair is a world whose evaluator is told of both servers, each behind a link.
type pair struct {
	*world
	member *member
	first  *link.Link // to the primary
}

func newPair(t *testing.T) *pair {
	t.Helper()
	w := newWorld(t)
	w.addReplica()
	links := make([]*link.Link, 2)
	for i, addr := range []string{w.primary.Addr(), w.replica.Addr()} {
		var err error
		if links[i], err = link.ToPostgres(addr); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(links[i].Close)
	}
	u, err := url.Parse(w.primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = links[0].Addr() + "," + links[1].Addr()
	u.RawQuery = "sslmode=disable&target_session_attrs=read-write"
	p := &pair{world: w, first: links[0], member: w.add(pace(), u.String())}
	p.awaitFolded()
	await(t, 30*time.Second, "all nodes have reported, and changed", func() bool {
		return len(storedEvents(t, w.primary.URL("postgres"))) >= 2*fleetSize+10
	})
	p.awaitStreamed(w.replica.URL("postgres"))
	return p
}

// awaitStreamed waits until the replica holds what is committed now.
func (p *pair) awaitStreamed(replica string) {
	p.t.Helper()
	events := len(storedEvents(p.t, p.primary.URL("postgres")))
	await(p.t, 20*time.Second, "the replica has caught up", func() bool { return len(storedEvents(p.t, replica)) >= events })
}

// storedEvents are the events of a server, oldest first.
func storedEvents(t *testing.T, url string) (out []string) {
	t.Helper()
	s, err := openReader(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	events, err := s.Events(t.Context(), "", 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range slices.Backward(events) {
		out = append(out, nodetest.Line(e.Event))
	}
	return out
}

func openReader(ctx context.Context, url string) (nodestore.Store, error) {
	return postgres.Open(ctx, url, postgres.Options{MaxConns: 1})
}

// failOver makes the replica the server that has the truth.
func (p *pair) failOver() {
	p.t.Helper()
	if err := p.replica.Promote(); err != nil {
		p.t.Fatal(err)
	}
	p.record = p.replica.URL("postgres")
}

const found = "the evaluator finds the writable server by itself; " + same

// After the primary is gone, however it went, the evaluator finds the replica that was promoted.
func TestFailover(t *testing.T) {
	for _, c := range []struct {
		fault string
		begin func(p *pair) error
		kinds []nodestore.Trouble
	}{
		{
			"the primary is killed, its replica promoted", func(p *pair) error { return p.primary.Kill() },
			[]nodestore.Trouble{nodestore.Unreachable, nodestore.ReadOnly},
		},
		{
			"the primary's machine vanishes: no packet is answered; its replica is promoted",
			func(p *pair) error { p.first.Hold(true); return nil },
			[]nodestore.Trouble{nodestore.Slow, nodestore.ReadOnly},
		},
		{
			"the primary goes on, but read-only, with all its sessions; its replica is promoted",
			func(p *pair) error {
				return p.run("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
			},
			[]nodestore.Trouble{nodestore.ReadOnly},
		},
	} {
		t.Run(c.fault, func(t *testing.T) {
			p := newPair(t)
			if err := c.begin(p); err != nil {
				t.Fatal(err)
			}
			p.fleet.silent.Store(true)
			named := p.awaitTrouble(p.member, c.kinds...)
			p.failOver()
			took := p.awaitFolded()
			if took > 15*time.Second {
				t.Errorf("folding again %v after the promotion", took)
			}
			await(t, 15*time.Second, "readiness again", func() bool { return p.member.ready("database") == "" })
			accepted, transitions := p.accepted(), p.verify()
			reliability.Report(t, reliability.Row{
				Group: "Postgres", Fault: c.fault, Must: found, Rounds: 1,
				Seen: fmt.Sprintf("folded %v after the promotion; %d transitions, all as the reference says; %d heartbeats answered 200, 0 not; named %s",
					round(took), transitions, accepted, named),
			})
		})
	}
}

// A replica that never got the last commits takes over: what it lacks is replayed from the stream, with the same ids.
func TestFailoverToAReplicaThatLostCommits(t *testing.T) {
	p := newPair(t)
	p.stream.Refuse(true)
	before := len(storedEvents(t, p.primary.URL("postgres")))
	var had []string
	await(t, 30*time.Second, "commits that the replica lacks", func() bool {
		had = storedEvents(t, p.primary.URL("postgres"))
		return len(had) >= before+10
	})
	if err := p.primary.Kill(); err != nil {
		t.Fatal(err)
	}
	kept := len(storedEvents(t, p.replica.URL("postgres")))
	if kept > len(had)-10 {
		t.Fatalf("the replica has %d of %d events: nothing is lost", kept, len(had))
	}
	named := p.awaitTrouble(p.member, nodestore.Unreachable, nodestore.ReadOnly)
	p.failOver()
	took := p.awaitFolded()
	accepted, transitions := p.accepted(), p.verify()
	if now := storedEvents(t, p.record); !slices.Equal(now[:len(had)], had) {
		t.Error("events that the primary had are others now")
	}
	reliability.Report(t, reliability.Row{
		Group: "Postgres", Fault: "failover to an asynchronous replica that was cut off before the last commits", Rounds: 1,
		Must: "what was lost is replayed from the stream, with the same ids; " + found,
		Seen: fmt.Sprintf("%d of %d events were lost, all %d are back as they were; folded %v after the promotion; %d transitions, all as the reference says; %d heartbeats answered 200, 0 not; named %s",
			len(had)-kept, len(had), len(had), round(took), transitions, accepted, named),
	})
}
