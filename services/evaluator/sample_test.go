package evaluator

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

func golden(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "contract", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What agents send is what contract's golden files have.
func TestSampleOfWhatAgentsSend(t *testing.T) {
	const gpus = `{"gpus":[{"use_percent":90,"temp_celsius":60,"mem_used_bytes":30,"mem_total_bytes":100},` +
		`{"use_percent":30,"temp_celsius":71.5,"mem_used_bytes":10,"mem_total_bytes":300},{"temp_celsius":20}]}`
	for name, tc := range map[string]struct {
		metrics, workload string
		want              string // round cpu memory disk gpuUse gpuMemory gpuTemp
	}{
		"the machine":               {golden(t, "metrics.json"), "", "- 12.5 31.25 100 0 4.17 41"},
		"the workload, on its disk": {golden(t, "metrics.json"), golden(t, "workload.json"), "39512 12.5 31.25 80 0 4.17 41"},
		"a workload that crashed":   {"", golden(t, "workload_running.json"), "none"},
		"several GPUs":              {gpus, "", "- - - - 60 10 71.5"},
		"nothing":                   {"", "", "none"},
		"an agent of another kind":  {`{"load":1}`, `{"peer":"Qm1"}`, "none"},
		"a field of another shape":  {`{"cpu_percent":"high","mem_total_bytes":100,"mem_used_bytes":50}`, `{"round":8}`, "8 - - - - - -"},
		"no JSON":                   {`{"cpu_percent":`, `[]`, "none"},
		"out of range":              {`{"cpu_percent":250,"mem_total_bytes":1,"mem_used_bytes":5,"disk":{"total_bytes":10,"free_bytes":20}}`, "", "- 100 100 0 - - -"},
		"zero is known":             {`{"cpu_percent":0}`, "", "- 0 - - - - -"},
		"totals of zero":            {`{"mem_used_bytes":5,"disk":{"total_bytes":0,"free_bytes":0}}`, "", "none"},
	} {
		s, ok := sampleOf(&node.Heard{ID: "n", Heard: 5, Metrics: tc.metrics, Workload: tc.workload})
		got := "none"
		if ok {
			got = fmt.Sprint(show(s.Round), " ", show(s.CPU), " ", show(s.Memory), " ", show(s.Disk), " ", show(s.GPUUse), " ", show(s.GPUMemory), " ", show(s.GPUTemp))
		}
		if got != tc.want || s.NodeID != "n" || s.At != 5 {
			t.Errorf("%s: %s of %s at %d, want %s", name, got, s.NodeID, s.At, tc.want)
		}
	}
}

func show[T int64 | float64](v *T) string {
	if v == nil {
		return "-"
	}
	text, _ := json.Marshal(float64(int64(float64(*v)*100+0.5)) / 100)
	return string(text)
}

// A node is taken at its first heartbeat in each slot, and at no other.
func TestANodeIsSampledOnceInASlot(t *testing.T) {
	const slot = node.Stamp(nodestore.SampleEvery)
	begin := 1000*slot - node.Stamp(nodestore.SampleShift("n")) // of a slot of n
	stored := node.Snapshot{Clock: node.Clock{Settings: node.Settings{Threshold: time.Hour, MaxNodes: 10}}}
	f, seq := node.New(0, stored), uint64(0)
	for _, step := range []struct {
		heard node.Stamp
		meta  string
		want  bool
		when  string
	}{
		{begin + slot/2, "", true, "the first time"},
		{begin + slot/2 + 1, "", false, "again"},
		{begin + slot/2 + 2, "new", false, "again, with something new"},
		{begin + slot - 1, "new", false, "at the end of the slot"},
		{begin + slot, "new", true, "in the next slot"},
		{begin + slot + 5, "new", false, "in the next slot again"},
		{begin + 9*slot, "other", true, "after a long silence, with something new"},
		{begin + 2*slot, "other", true, "when the clock stepped back"},
		{begin + 2*slot + 1, "other", false, "once more after that"},
		{begin + 3*slot, "other", true, "and in the slot after"},
	} {
		seq++
		f.Apply(node.Message{Seq: seq, Stamp: step.heard, Heartbeats: []node.Heartbeat{{NodeID: "n", Meta: step.meta}}})
		c := f.Take()
		stored = nodetest.Store(stored, c)
		if got := firstInSlot(c); (len(got) == 1) != step.want {
			t.Errorf("%s: %d nodes taken", step.when, len(got))
		}
		f.Apply(node.Message{Seq: seq, Stamp: step.heard, Command: &node.Command{NodeID: "n", Name: &step.when}})
		if got := firstInSlot(f.Take()); len(got) != 0 {
			t.Errorf("%s, and not heard again: %d nodes taken", step.when, len(got))
		}
	}
	for i := range 2 {
		f.Apply(node.Message{Seq: seq, Stamp: begin + 4*slot + node.Stamp(i), Heartbeats: []node.Heartbeat{{NodeID: "n"}}})
	}
	if got := firstInSlot(f.Take()); len(got) != 1 {
		t.Errorf("in the next slot, twice in one commit: %d nodes taken", len(got))
	}
	f = node.New(0, stored)
	for i, want := range []int{1, 0} {
		f.Apply(node.Message{Seq: seq + uint64(i) + 1, Stamp: begin + 3*slot + node.Stamp(i) + 1, Heartbeats: []node.Heartbeat{{NodeID: "n"}}})
		if got := firstInSlot(f.Take()); len(got) != want {
			t.Errorf("heartbeat %d after another evaluator took over: %d nodes taken, want %d", i+1, len(got), want)
		}
	}
}

// Samples that wait for a slow database do not fill the memory, whether commits are of few nodes or of many.
func TestOnlySoManySamplesWait(t *testing.T) {
	for _, each := range []int{1, 700, 9_000} {
		s, handed := newSampler(), 0
		for range 200 {
			if s.hand(make([]node.Heard, each)) {
				handed += each
			}
		}
		if handed > maxSamples || handed < min(60*each, maxSamples*8/10) || int(s.waiting.Load()) != handed {
			t.Errorf("commits of %d: %d wait", each, handed)
		}
	}
	o := &owner{Service: &Service{Options: Options{Pace: DefaultPace}}, samples: newSampler()}
	o.samples.hand(make([]node.Heard, maxSamples))
	o.addSamples(t.Context(), <-o.samples.queue) // of agents that measure nothing
	if !o.samples.hand(make([]node.Heard, maxSamples)) {
		t.Errorf("%d wait still", o.samples.waiting.Load())
	}
}

// Not all nodes are sampled at once: in each second of a slot it is about as many.
func TestSamplesAreSpread(t *testing.T) {
	const nodes, parts = 6000, 10
	counts := make([]int, parts)
	for i := range nodes {
		counts[nodestore.SampleShift(fmt.Sprintf("node-%06d", i))*parts/int64(10*time.Minute)]++
	}
	for i, n := range counts {
		if n < nodes/parts*3/4 || n > nodes/parts*5/4 {
			t.Errorf("in minute %d there are %d of %d", i, n, nodes)
		}
	}
}
