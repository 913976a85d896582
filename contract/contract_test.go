package contract_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// golden are the messages as other programs have written and will read them. A change of these files breaks the wire.
var golden = map[string]any{
	"heartbeat_full": &contract.Heartbeat{
		NodeID: "gpu-1-gensyn", IP: "2001:db8::7", Meta: `Zürich "rack" 4`, Status: "DOWN",
		Reason: "port_closed_3000", Evidence: "port 3000: connection refused", IntervalSec: 60,
		BootID: "5f0c2d5e-8a53-4c60-9b3e-6f7a3c1f0b11", Seq: 1234567,
		Agent:   contract.Agent{Version: "1.0.0", OS: "linux", Arch: "amd64"},
		Metrics: json.RawMessage(`{"load1":0.5}`), Workload: json.RawMessage(`{"peer":"Qm1"}`),
	},
	"heartbeat_first": &contract.Heartbeat{NodeID: "gpu-2-gensyn", IP: "192.0.2.7", Meta: "rack 4", Status: "UP"},
	"heartbeat_annotated": &contract.Heartbeat{
		NodeID: "gpu-3-gensyn", Status: "UP",
		Annotations: []contract.Annotation{
			{At: 1767225600123, Status: "DOWN", Reason: "no_process", Evidence: "no launcher runs"},
			{At: 1767225612000, Status: contract.StatusCommand, Reason: "on_down_ended", Evidence: "exit status 0 after 4s"},
			{At: 1767225660123, Status: "UP"},
		},
	},
	"heartbeat_least": &contract.Heartbeat{NodeID: "n"},
	"batch": &contract.Batch{
		V: 1, Ingest: "ingest-0", Accepted: 2, Refused: map[string]int{"401": 412, "400": 1},
		Heartbeats: []contract.Heartbeat{
			{NodeID: "a", IP: "192.0.2.1", Status: "UP"},
			{NodeID: "b", Status: "DOWN", Reason: "no_screen"},
		},
	},
	"batch_pulse":    &contract.Batch{V: 1, Ingest: "ingest-0"},
	"batch_unsure":   &contract.Batch{V: 1, Ingest: "ingest-0", Unsure: true},
	"command_delete": &contract.Command{V: 1, Kind: contract.CommandDelete, NodeID: "a", By: "admin"},
	"command_name":   &contract.Command{V: 1, Kind: contract.CommandName, NodeID: "a", By: "admin", Name: "Left rack"},
	"command_threshold": &contract.Command{
		V: 1, Kind: contract.CommandThreshold, NodeID: "a", By: "admin", ThresholdSec: 90.5,
	},
	"command_import": &contract.Command{
		V: 1, Kind: contract.CommandImport, By: "import", Nodes: []contract.Imported{
			{NodeID: "gpu-1-gensyn", IP: "192.0.2.7", Meta: "rack 4", State: "up", HeardUnixMs: 1767225600000},
			{NodeID: "gpu-2-gensyn", State: "lost", HeardUnixMs: 1764547200000},
		},
	},
	"command_settings": &contract.Command{
		V: 1, Kind: contract.CommandSettings, By: "evaluator", ThresholdSec: 180, MaxNodes: 100_000,
	},
	"event_transition": &contract.Event{
		V: 1, ID: "2:0:981:0", Kind: "changed", NodeID: "a", From: "down", To: "up", Reason: "port_closed_3000",
		Evidence: "port 3000: connection refused", AtUnixMs: 1767225600123, LastedSec: 754,
	},
	"event_doubled": &contract.Event{
		V: 1, ID: "2:0:983:0", Kind: "doubled", NodeID: "a", From: "up", To: "up", Reason: "boot_ids",
		Evidence: "203.0.113.5, 203.0.113.9", AtUnixMs: 1767225600123,
	},
	"metrics":  metrics(),
	"workload": workload(),
	"workload_running": &contract.Workload{
		Kind: "rl-swarm", Phase: "crashed", OnDown: &contract.CommandRun{Running: true},
	},
	"event_quiet": &contract.Event{V: 1, ID: "2:0:982:1", Kind: "blind", AtUnixMs: 1767225600123, Quiet: true},
}

func metrics() *contract.Metrics {
	return &contract.Metrics{
		CPUs: 16, CPUPercent: new(12.5), Load1: new(0.0), Load5: new(1.25), Load15: new(2.5),
		MemTotalBytes: 64 << 30, MemUsedBytes: 20 << 30, SwapTotalBytes: 8 << 30, SwapUsedBytes: 1 << 20,
		OOMKills: new(int64(0)), UptimeSec: 86400.5,
		Disk: &contract.Disk{Path: "/", TotalBytes: 500 << 30, FreeBytes: 0},
		GPUs: []contract.GPU{
			{
				Name: "NVIDIA GeForce RTX 4090", UsePercent: new(0.0), MemUsedBytes: new(int64(1 << 30)),
				MemTotalBytes: new(int64(24 << 30)), TempCelsius: new(41.0), PowerWatts: new(22.75),
			},
			{Name: "Tesla K80"},
		},
		ClockOffsetSec: new(-1.5),
	}
}

func workload() *contract.Workload {
	return &contract.Workload{
		Kind: "rl-swarm", Phase: "waiting", PhaseSec: 1860, Round: 39512, RoundAgeSec: 61.5, NextSec: 640,
		PeerID: "QmRAFupGJwJB8mGG6eNsAbo1CQeAGQeEWqZTvALybgBetc", PeerName: "jagged spotted mandrill",
		Model: "Gensyn/Qwen2.5-0.5B-Instruct", Version: "rgym", Supervisor: "screen:gensyn", Dir: "/root/rl-swarm",
		UptimeSec: 7200, RSSBytes: 5 << 30, Restarts: 2,
		Disk: &contract.Disk{Path: "/root/rl-swarm", TotalBytes: 500 << 30, FreeBytes: 100 << 30},
		OnDown: &contract.CommandRun{
			AtUnixMs: 1767225612000, TookSec: 4.5, Reason: "on_down_failed", Result: "exit status 1 after 4.5s: no space left",
		},
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(data, []byte("\n"))
}

func TestGoldenMessages(t *testing.T) {
	for name, want := range golden {
		t.Run(name, func(t *testing.T) {
			data := read(t, name)
			got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
			d := json.NewDecoder(bytes.NewReader(data))
			d.DisallowUnknownFields() // a renamed field would be dropped in silence
			if err := d.Decode(got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("decoded\n%+v\nwant\n%+v", got, want)
			}
			encoded, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(encoded, data) {
				t.Errorf("encoded\n%s\nwant\n%s", encoded, data)
			}
		})
	}
}

func TestEveryGoldenFileIsTested(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); golden[name] == nil {
			t.Errorf("%s has no message in the table", file)
		}
	}
	if len(files) != len(golden) {
		t.Errorf("%d files, %d messages", len(files), len(golden))
	}
}

// TestEveryFieldIsGolden fails when a field is added that no golden message carries.
func TestEveryFieldIsGolden(t *testing.T) {
	var all strings.Builder
	for name := range golden {
		all.Write(read(t, name))
	}
	for _, m := range []any{
		contract.Heartbeat{}, contract.Annotation{}, contract.Agent{}, contract.Batch{}, contract.Command{}, contract.Imported{}, contract.Event{},
		contract.Metrics{}, contract.Workload{}, contract.Disk{}, contract.GPU{}, contract.CommandRun{},
	} {
		for f := range reflect.TypeOf(m).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !strings.Contains(all.String(), `"`+name+`":`) {
				t.Errorf("%T.%s (%q) is in no golden message", m, f.Name, name)
			}
		}
	}
}

// TestDecode goes through both decoders, which follow the same rules.
func TestDecode(t *testing.T) {
	tests := []struct {
		name, data string
		unknown    bool   // ErrUnknownVersion
		err        string // part of another error
	}{
		{name: "known", data: `{"v":1}`},
		{name: "a field of a later writer", data: `{"v":1,"later":{"a":[1]}}`},
		{name: "newer", data: `{"v":2}`, unknown: true},
		{name: "older", data: `{"v":0}`, unknown: true},
		{name: "newer, other fields changed", data: `{"v":2,"kind":7,"heartbeats":"none","node_id":[]}`, unknown: true},
		{name: "no version", data: `{}`, err: "without a version"},
		{name: "null version", data: `{"v":null}`, err: "without a version"},
		{name: "null", data: `null`, err: "without a version"},
		{name: "version is a text", data: `{"v":"1"}`, err: "cannot unmarshal string"},
		{name: "known, a field is wrong", data: `{"v":1,"ingest":7,"by":7}`, err: "cannot unmarshal number"},
		{name: "empty", data: ``, err: "unexpected end"},
		{name: "cut", data: `{"v":1,"ing`, err: "unexpected end"},
		{name: "cut, newer", data: `{"v":2,"ing`, err: "unexpected end"},
		{name: "no object", data: `[1]`, err: "cannot unmarshal array"},
		{name: "more than one", data: `{"v":1}{"v":1}`, err: "after top-level value"},
	}
	decoders := map[string]func([]byte) error{
		"batch":   func(data []byte) error { _, err := contract.DecodeBatch(data); return err },
		"command": func(data []byte) error { _, err := contract.DecodeCommand(data); return err },
	}
	for _, tt := range tests {
		for kind, decode := range decoders {
			t.Run(kind+"/"+tt.name, func(t *testing.T) {
				err := decode([]byte(tt.data))
				switch {
				case errors.Is(err, contract.ErrUnknownVersion) != tt.unknown:
					t.Errorf("error %v, want unknown version: %v", err, tt.unknown)
				case tt.unknown:
				case tt.err == "" && err != nil:
					t.Errorf("error %v", err)
				case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
					t.Errorf("error %v, want one with %q", err, tt.err)
				}
			})
		}
	}
}

func TestDecodeReturnsTheMessage(t *testing.T) {
	b, err := contract.DecodeBatch(read(t, "batch"))
	if want := golden["batch"].(*contract.Batch); err != nil || !reflect.DeepEqual(&b, want) {
		t.Errorf("batch %+v, %v", b, err)
	}
	c, err := contract.DecodeCommand(read(t, "command_threshold"))
	if want := golden["command_threshold"].(*contract.Command); err != nil || !reflect.DeepEqual(&c, want) {
		t.Errorf("command %+v, %v", c, err)
	}
}

func TestUnknownVersionSaysWhich(t *testing.T) {
	_, err := contract.DecodeBatch([]byte(`{"v":7}`))
	if err == nil || !strings.Contains(err.Error(), "v=7") {
		t.Errorf("error %v does not name the version", err)
	}
}

func TestNamesOfAPartition(t *testing.T) {
	got := []string{
		contract.HeartbeatsStream(0), contract.HeartbeatSubject(0), contract.CommandSubject(0), contract.EventSubject(12),
		contract.ProcessSubject("web"),
	}
	want := []string{"HEARTBEATS_0", "heartbeat.0", "command.0", "event.12", "process.web"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
}
