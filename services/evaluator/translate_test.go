package evaluator

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// TestAnnotationsAreTranslated with their own times, whatever the stamp of the message.
func TestAnnotationsAreTranslated(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	data, err := json.Marshal(contract.Batch{V: contract.Version, Heartbeats: []contract.Heartbeat{
		{NodeID: "a", Annotations: []contract.Annotation{
			{At: at.UnixMilli(), Status: "DOWN", Reason: "no_process", Evidence: "none"},
		}},
		{NodeID: "b"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := translate(bus.Message{Seq: 5, Stamp: at.Add(time.Hour), Data: data})
	if err != nil {
		t.Fatal(err)
	}
	want := []node.Annotation{{At: node.Stamp(at.UnixNano()), Status: "DOWN", Reason: "no_process", Evidence: "none"}}
	if got := m.Heartbeats[0].Annotations; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := m.Heartbeats[1].Annotations; got != nil {
		t.Errorf("%+v without any", got)
	}
}

// TestImportedNodesAreTranslated, and a time that no stamp can say is none.
func TestImportedNodesAreTranslated(t *testing.T) {
	heard := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	data, err := json.Marshal(contract.Command{V: contract.Version, Kind: contract.CommandImport, By: "import", Nodes: []contract.Imported{
		{NodeID: "a", IP: "192.0.2.1", Meta: "rack", State: "lost", HeardUnixMs: heard.UnixMilli()},
		{NodeID: "b", State: "up", HeardUnixMs: 1 << 62},
		{NodeID: "c", HeardUnixMs: -5},
	}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := translate(bus.Message{Command: true, Data: data})
	want := []node.Imported{
		{NodeID: "a", IP: "192.0.2.1", Meta: "rack", State: node.Lost, Heard: node.Stamp(heard.UnixNano())},
		{NodeID: "b", State: node.Up}, {NodeID: "c"},
	}
	if err != nil || m.Command.By != "import" || !reflect.DeepEqual(m.Command.Import, want) {
		t.Errorf("%+v %v, want %+v", m.Command, err, want)
	}
}
