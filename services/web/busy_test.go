package web

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// busy is a monitor of thirty nodes on a bad day, with a past.
func busy() *fakeStore {
	now := time.Now()
	before := func(d time.Duration) node.Stamp { return node.Stamp(now.Add(-d).UnixNano()) }
	store := newFakeStore()
	for i := range 30 {
		n := node.Node{
			ID: fmt.Sprintf("gpu-%02d-gensyn", i), IP: fmt.Sprintf("203.0.113.%d", 10+i), State: node.Up,
			Meta:  []string{"", "Hetzner", "rack 4"}[i%3],
			Heard: before(time.Duration(i*2) * time.Second), Since: before(9 * time.Hour), Joined: before(60 * 24 * time.Hour),
			Interval: time.Minute, AgentVersion: "1.4.0", OS: "linux", Arch: "amd64",
			Workload: fmt.Sprintf(`{"kind":"rl-swarm","phase":"%s","phase_sec":%d,"round":%d,"peer_name":"%s","peer_id":"QmRAFupGJwJB8mGG6eNsAbo1CQeAGQeEWqZTvALybgBetc","model":"Gensyn/Qwen2.5-0.5B-Instruct","version":"rgym","supervisor":"screen:gensyn","dir":"/root/rl-swarm","uptime_sec":720000,"restarts":2}`,
				[]string{"training", "waiting", "training"}[i%3], 60+i*7, 39512-i%4, []string{"jagged spotted mandrill", "quiet amber heron", "brisk tawny lynx"}[i%3]),
			Metrics: fmt.Sprintf(`{"cpus":16,"cpu_percent":12.5,"gpus":[{"name":"NVIDIA GeForce RTX 4090","use_percent":%d,"temp_celsius":%d},{"name":"NVIDIA GeForce RTX 4090","use_percent":97,"temp_celsius":66}]}`, 80+i%20, 60+i%15),
		}
		switch i {
		case 3:
			n.State, n.Reason, n.Evidence, n.Since = node.Down, "port_closed_3000", "dial tcp 127.0.0.1:3000: connect: connection refused", before(7*time.Minute)
		case 11:
			n.State, n.Reason, n.Heard, n.Since, n.Name = node.Lost, node.ReasonSilent, before(26*time.Hour), before(26*time.Hour-3*time.Minute), "Old miner in the cellar"
			n.Metrics, n.Workload = "", ""
		case 17:
			n.State, n.Reason, n.Since, n.IP = node.Down, "no_screen_no_proc", before(40*time.Second), "2001:db8:85a3::8a2e:370:7334"
			n.Metrics = ""
		case 21:
			n.State, n.Reason, n.Evidence, n.Since = node.Degraded, "gpu_hot", "GPU 0: 91 °C, throttled", before(12*time.Minute)
		}
		if n.State != node.Up {
			n.Incident = n.Since
		}
		store.nodes = append(store.nodes, n)
	}
	doubleSome(store)
	store.status.Chats = []nodestore.ChatStatus{
		{
			Chat: "-1001234567890", Active: true, LastError: "the bot was blocked by the user", Waiting: 2,
			Oldest: now.Add(-7 * time.Minute), LastTold: now.Add(-26 * time.Hour),
		},
		{Chat: "-1009876543210:7", Active: true, LastTold: now.Add(-40 * time.Second)},
	}
	store.status.Clock.Position.Stamp, store.status.Clock.Accepted = before(200*time.Millisecond), before(time.Second)
	store.status.Clock.Position.Seq = 1234567
	past(store, now)
	return store
}

// past gives the nodes of a store a history of ninety days.
func past(store *fakeStore, now time.Time) {
	before := func(d time.Duration) node.Stamp { return node.Stamp(now.Add(-d).UnixNano()) }
	seq := uint64(0)
	for i := range store.nodes {
		n := &store.nodes[i]
		turn := func(at node.Stamp, from, to node.State, reason, evidence string, lasted time.Duration) {
			seq++
			e := node.Event{
				ID: node.EventID{Epoch: 1, Seq: seq}, Kind: node.Changed, NodeID: n.ID, From: from, To: to, At: at,
				Reason: reason, Evidence: evidence, Lasted: lasted,
			}
			if from == "" {
				e.Kind = node.Joined
			}
			store.events = append(store.events, nodestore.StoredEvent{Event: e, Found: at.Time().Add(time.Second)})
		}
		turn(before(time.Duration(60-i)*24*time.Hour), "", node.Up, "", "", 0)
		for k := range i % 4 {
			began, lasted := time.Duration(20-5*k)*24*time.Hour+time.Duration(i)*time.Hour, time.Duration(10+i*17)*time.Minute
			state, reason := node.Down, "no_process"
			if k == 1 {
				state, reason = node.Lost, node.ReasonSilent
			}
			turn(before(began), node.Up, state, reason, "", 0)
			turn(before(began-lasted), state, node.Up, "", "", lasted)
			store.incidents = append(store.incidents, nodestore.Incident{
				Key: fmt.Sprint(seq), NodeID: n.ID, Name: n.Name, Began: before(began), Ended: before(began - lasted), State: state, Reason: reason,
			})
		}
		if n.State != node.Up {
			turn(n.Since, node.Up, n.State, n.Reason, n.Evidence, 0)
			open := nodestore.Incident{
				Key: fmt.Sprint(seq), NodeID: n.ID, Name: n.Name, Began: n.Since, State: n.State, Reason: n.Reason, Evidence: n.Evidence,
			}
			if i == 3 {
				open.Acknowledgement = nodestore.Acknowledgement{By: "Anna", At: now.Add(-2 * time.Minute)}
				store.tellings = append(store.tellings, nodestore.ToldAlert{
					ID: store.events[len(store.events)-1].ID.String(), Chat: "-1001234567890", Waiting: true, LastError: "the bot was blocked by the user",
				}, nodestore.ToldAlert{ID: store.events[len(store.events)-1].ID.String(), Chat: "-1009876543210:7", At: now.Add(-6 * time.Minute), Message: 17})
			}
			store.incidents = append([]nodestore.Incident{open}, store.incidents...)
		}
	}
	store.spans = []node.Span{
		{From: before(12*24*time.Hour + 4*time.Hour), To: before(12 * 24 * time.Hour)},
		{From: before(3*24*time.Hour + 20*time.Minute), To: before(3 * 24 * time.Hour), Deaf: true},
	}
	store.number()
	store.annotations = []node.Annotation{{
		NodeID: store.nodes[3].ID, At: before(2 * 24 * time.Hour), Status: "DOWN", Reason: "no_p2pd", Evidence: "while the network was away",
	}}
	id := store.nodes[3].ID
	for i := range 7 * 144 {
		ago := time.Duration(7*144-i) * nodestore.SampleEvery
		if ago > 20*time.Hour && ago < 25*time.Hour {
			continue // it was not heard
		}
		v := func(mean, swing, turns float64) *float64 {
			x := mean + swing*math.Sin(float64(i)/turns) + 2*math.Sin(float64(i*i))
			return &x
		}
		round := int64(39000 + i/2)
		store.samples = append(store.samples, nodestore.Sample{
			NodeID: id, At: before(ago), Round: &round, CPU: v(35, 10, 9), Memory: v(61, 4, 40), Disk: v(72, 0.5, 100),
			GPUUse: v(82, 14, 3), GPUMemory: v(55, 8, 20), GPUTemp: v(66, 6, 12),
		})
	}
}

// number gives events and spans ids in the order of their times, as the stream would.
func (f *fakeStore) number() {
	slices.SortStableFunc(f.events, func(a, b nodestore.StoredEvent) int { return cmp.Compare(a.At, b.At) })
	renamed := make(map[string]string)
	f.turns = make(map[string][]node.Event)
	for i := range f.events {
		e := &f.events[i]
		was := e.ID.String()
		e.ID = node.EventID{Epoch: 1, Seq: uint64(e.At), Ordinal: i}
		renamed[was] = e.ID.String()
		f.turns[e.NodeID] = append(f.turns[e.NodeID], e.Event)
	}
	for i := range f.tellings {
		f.tellings[i].ID = renamed[f.tellings[i].ID]
	}
	for i := range f.spans {
		f.spans[i].ID = node.EventID{Epoch: 1, Seq: uint64(f.spans[i].To)}
	}
	slices.SortStableFunc(f.incidents, func(a, b nodestore.Incident) int {
		return cmp.Or(-cmp.Compare(open(a), open(b)), -cmp.Compare(max(a.Ended, a.Began), max(b.Ended, b.Began)))
	})
}

func open(i nodestore.Incident) int {
	if i.Ended == 0 {
		return 1
	}
	return 0
}
