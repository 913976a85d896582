package ingest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// FuzzSplit holds the quick way against encoding/json: the same members, or an error of both.
func FuzzSplit(f *testing.F) {
	for _, text := range []string{
		current, `{}`, `{"a":1,"a":2}`, `{"\u0061":1}`, `{"a":"\ud800"}`, `null`, `[]`, `{"a":1}x`, `{"a":1,}`, `{"a":01}`, ``, ` {"a" : [1, 2] } `,
		`{"a":{"b":"c\"}"}}`, `{"":1}`, `"x"`, `{"a":1e999}`, `{"é":"ü"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) {
			return // parse turns it into UTF-8 first
		}
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(text, &want)
		got, err := split(nil, text, string(text))
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%q: %v, want %v", text, err, wantErr)
		}
		if err != nil {
			return
		}
		if (got == nil) != (want == nil) {
			t.Fatalf("%q: %v, want %v", text, got, want)
		}
		for name, raw := range want {
			if !bytes.Equal(got.get(name).raw, raw) {
				t.Errorf("%q: %q is %s, want %s", text, name, got.get(name).raw, raw)
			}
		}
		for _, m := range got {
			if _, ok := want[string(m.name)]; !ok {
				t.Errorf("%q: %q is not among %v", text, m.name, slices.Collect(maps.Keys(want)))
			}
		}
	})
}

// FuzzEncode holds what is written by hand against encoding/json.
func FuzzEncode(f *testing.F) {
	f.Add([]byte(current))
	f.Add([]byte(`{"node_id":"ü\"<&>","interval_sec":0.25,"agent":{"os":"x"},"annotations":[{"at":5,"status":"UP"}],"metrics":{"a": 1e3,"b":"\u0000"}}`))
	f.Add([]byte(`{"node_id":"x","agent":{"version":"","arch":"y\u2028"},"interval_sec":1e21,"seq":-4}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := Decode(body, neighbour)
		if err != nil {
			return
		}
		got, err := encode(nil, h)
		want, wantErr := marshal(h)
		if err != nil || wantErr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, %v\nwant %s, %v", got, err, want, wantErr)
		}
		if !bytes.Equal(compact(h.Metrics), h.Metrics) && h.Metrics != nil {
			t.Errorf("metrics are not compact: %s", h.Metrics)
		}
	})
}

// The hot path does not come to allocate more unnoticed: an allocation costs about as much as reading 50 bytes.
func TestAHeartbeatCostsFewAllocations(t *testing.T) {
	body := []byte(current)
	var h contract.Heartbeat
	if n := fewestAllocations(func() { h, _ = Decode(body, neighbour) }); n > 2 {
		t.Errorf("decoding allocates %v times", n)
	}
	kept, _ := encode(nil, h)
	if n := fewestAllocations(func() { kept, _ = encode(kept[:0], h) }); n > 0 {
		t.Errorf("encoding allocates %v times", n)
	}
}

// fewestAllocations is what one call allocates when the pools have what it asks for. A mean would be a game of dice: the race
// detector throws away at random a quarter of what is put into a sync.Pool.
func fewestAllocations(call func()) float64 {
	fewest := testing.AllocsPerRun(1, call)
	for range 200 {
		fewest = min(fewest, testing.AllocsPerRun(1, call))
	}
	return fewest
}
