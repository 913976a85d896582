package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

var testPeer = netip.MustParseAddr("203.0.113.9")

// TestDecodeGolden reads what the agents in the field send, byte by byte.
func TestDecodeGolden(t *testing.T) {
	bodies, err := filepath.Glob("testdata/wire/*.body")
	if err != nil || len(bodies) < 10 {
		t.Fatalf("found %d bodies: %v", len(bodies), err)
	}
	for _, path := range bodies {
		t.Run(filepath.Base(path), func(t *testing.T) {
			got, err := Decode(mustRead(t, path), testPeer)
			if err != nil {
				t.Fatal(err)
			}
			var want contract.Heartbeat
			if err := json.Unmarshal(mustRead(t, strings.TrimSuffix(path, ".body")+".json"), &want); err != nil {
				t.Fatal(err)
			}
			want.Metrics, want.Workload = compacted(want.Metrics), compacted(want.Workload)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func compacted(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return nil
	}
	return compact(raw)
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path) //nolint:gosec // test data
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeField(t *testing.T) {
	long := strings.Repeat("я", 1000)
	get := map[string]func(contract.Heartbeat) any{
		"node_id":     func(h contract.Heartbeat) any { return h.NodeID },
		"ip":          func(h contract.Heartbeat) any { return h.IP },
		"meta":        func(h contract.Heartbeat) any { return h.Meta },
		"status":      func(h contract.Heartbeat) any { return h.Status },
		"reason":      func(h contract.Heartbeat) any { return h.Reason },
		"evidence":    func(h contract.Heartbeat) any { return h.Evidence },
		"interval":    func(h contract.Heartbeat) any { return h.IntervalSec },
		"boot_id":     func(h contract.Heartbeat) any { return h.BootID },
		"seq":         func(h contract.Heartbeat) any { return h.Seq },
		"agent":       func(h contract.Heartbeat) any { return h.Agent },
		"metrics":     func(h contract.Heartbeat) any { return string(h.Metrics) },
		"workload":    func(h contract.Heartbeat) any { return string(h.Workload) },
		"annotations": func(h contract.Heartbeat) any { return h.Annotations },
	}
	tests := []struct {
		name, field, body string
		want              any
	}{
		{"number", "node_id", `{"node_id":12.50}`, "12.50"},
		{"huge number", "node_id", `{"node_id":1e999}`, "1e999"},
		{"spaces around", "node_id", `{"node_id":" n 1 "}`, "n 1"},
		{"as many characters as allowed", "node_id", `{"node_id":"` + strings.Repeat("я", 128) + `"}`, strings.Repeat("я", 128)},
		{"half a surrogate pair", "node_id", `{"node_id":"a\ud800b"}`, "a\uFFFDb"},
		{"last of two", "node_id", `{"node_id":"a","node_id":"b"}`, "b"},
		{"only the exact name", "meta", `{"node_id":"a","META":"x"}`, ""},
		{"byte order mark", "node_id", "\uFEFF" + `{"node_id":"a"}`, "a"},
		{"line end after the object", "node_id", "{\"node_id\":\"a\"}\r\n", "a"},

		{"missing", "ip", `{"node_id":"a"}`, ""},
		{"null", "ip", `{"node_id":"a","ip":null}`, ""},
		{"blank", "ip", `{"node_id":"a","ip":" \n"}`, ""},
		{"IPv6", "ip", `{"node_id":"a","ip":"2001:DB8:0::1"}`, "2001:db8::1"},
		{"mapped IPv4", "ip", `{"node_id":"a","ip":"::ffff:192.0.2.1"}`, "192.0.2.1"},
		{"zone is free text", "ip", `{"node_id":"a","ip":"fe80::1%<b>"}`, "fe80::1"},
		{"not an address", "ip", `{"node_id":"a","ip":"error: 1.2.3.4"}`, "203.0.113.9"},
		{"not a string", "ip", `{"node_id":"a","ip":{"ip":"192.0.2.1"}}`, "203.0.113.9"},

		{"null", "meta", `{"node_id":"a","meta":null}`, ""},
		{"an object", "meta", `{"node_id":"a","meta":{"a": [1, "<"]}}`, `{"a":[1,"<"]}`},
		{"a number", "meta", `{"node_id":"a","meta":7}`, "7"},
		{"cut between runes", "meta", `{"node_id":"a","meta":"x` + long + `"}`, "x" + long[:contract.MaxMetaBytes-2]},
		{"exactly as long as allowed", "meta", `{"node_id":"a","meta":"` + long[:contract.MaxMetaBytes] + `"}`, long[:contract.MaxMetaBytes]},
		{"NUL and controls", "meta", `{"node_id":"a","meta":"a\u0000b\u0007\u009fc\u007f"}`, "abc"},
		{"lines become one", "meta", `{"node_id":"a","meta":"reason=x\r\nb\tc\n"}`, "reason=x  b c"},
		{"direction marks", "meta", `{"node_id":"a","meta":"a\u202eb\u2066c"}`, "abc"},
		{"markup is kept", "meta", `{"node_id":"a","meta":"<script>"}`, "<script>"},

		{"missing", "status", `{"node_id":"a"}`, ""},
		{"null", "status", `{"node_id":"a","status":null}`, ""},
		{"spaces around", "status", `{"node_id":"a","status":" up "}`, "up"},
		{"cut", "status", `{"node_id":"a","status":"` + long + `"}`, long[:64]},
		{"cut", "reason", `{"node_id":"a","reason":"` + long + `"}`, long[:contract.MaxReasonBytes]},
		{"number", "reason", `{"node_id":"a","reason":137}`, "137"},
		{"cut", "evidence", `{"node_id":"a","evidence":"` + long + `"}`, long[:contract.MaxEvidenceBytes]},
		{"cut", "boot_id", `{"node_id":"a","boot_id":"` + long + `"}`, long[:64]},
		{"fraction", "interval", `{"node_id":"a","interval_sec":0.5}`, 0.5},
		{"null", "interval", `{"node_id":"a","interval_sec":null}`, 0.0},
		{"negative", "interval", `{"node_id":"a","interval_sec":-3}`, 0.0},
		{"greatest", "seq", `{"node_id":"a","seq":9223372036854775807}`, int64(9223372036854775807)},
		{"null", "seq", `{"node_id":"a","seq":null}`, int64(0)},
		{"null", "agent", `{"node_id":"a","agent":null}`, contract.Agent{}},
		{"cut", "agent", `{"node_id":"a","agent":{"version":"` + long + `"}}`, contract.Agent{Version: long[:64]}},

		{"compact", "metrics", `{"node_id":"a","metrics":{ "a" : 1.50 }}`, `{"a":1.50}`},
		{"not an object", "metrics", `{"node_id":"a","metrics":[1]}`, ""},
		{"null", "metrics", `{"node_id":"a","metrics":null}`, ""},
		{"too long", "metrics", `{"node_id":"a","metrics":{"a":"` + strings.Repeat("x", contract.MaxReportBytes) + `"}}`, ""},
		{"a number beyond all bounds", "metrics", `{"node_id":"a","metrics":{"a":1e999}}`, ""},
		{"hidden NUL", "workload", `{"node_id":"a","workload":{"a\u0000":["b\u0000\ud800",10000000000000001]}}`, `{"a":["b` + "\uFFFD" + `",10000000000000001]}`},
		{"not a list", "annotations", `{"node_id":"a","annotations":{"at":1}}`, []contract.Annotation(nil)},
		{"the good ones", "annotations", `{"node_id":"a","annotations":[1,{"at":5},{"at":"6","status":"UP"},{"at":0,"status":"UP"},` +
			`{"at":9999999999999999,"status":"UP"},{"at":7,"status":" down ","reason":"a\nb","evidence":"` + long + `","more":1}]}`,
			[]contract.Annotation{{At: 7, Status: "down", Reason: "a b", Evidence: long[:contract.MaxEvidenceBytes]}}},
		{"too many", "annotations", `{"node_id":"a","annotations":[` + strings.Repeat(`{"at":1,"status":"UP"},`, 2000) + `{}]}`,
			slices.Repeat([]contract.Annotation{{At: 1, Status: "UP"}}, contract.MaxAnnotations)},
		{"markup is kept", "workload", `{"node_id":"a","workload":{"a":"<&>"}}`, `{"a":"<&>"}`},
	}
	for _, tt := range tests {
		t.Run(tt.field+" "+tt.name, func(t *testing.T) {
			h, err := Decode([]byte(tt.body), testPeer)
			if err != nil {
				t.Fatal(err)
			}
			if got := get[tt.field](h); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			checkInvariants(t, h)
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	const escape = ` (a " or \ inside a value must be escaped)`
	tests := []struct{ name, body, want string }{
		{"no node_id", `{"status":"UP"}`, "node_id required"},
		{"empty node_id", `{"node_id":""}`, "node_id required"},
		{"blank node_id", `{"node_id":"  "}`, "node_id required"},
		{"null node_id", `{"node_id":null}`, "node_id required"},
		{"node_id in another case", `{"NODE_ID":"a"}`, "node_id required"},
		{"node_id of a wrong type", `{"node_id":["a"]}`, "node_id must be a string"},
		{"node_id true", `{"node_id":true}`, "node_id must be a string"},
		{"long node_id", `{"node_id":"` + strings.Repeat("я", 129) + `"}`, "node_id must be at most 128 characters long"},
		{"long number as node_id", `{"node_id":` + strings.Repeat("1", 129) + `}`, "node_id must be at most 128 characters long"},
		{"control in node_id", `{"node_id":"a\u0000b"}`, "node_id must be without control characters"},
		{"line end after node_id", `{"node_id":"a\n"}`, "node_id must be without control characters"},
		{"direction mark in node_id", `{"node_id":"a\u202eb"}`, "node_id must be without control characters"},

		{"empty", ``, "the body is empty: it must be a JSON object"},
		{"blank", " \r\n", "the body is empty: it must be a JSON object"},
		{"form", `node_id=a`, `invalid JSON at byte 2: invalid character 'o' in literal null (expecting 'u')` + escape},
		{"array", `[]`, "the body must be a JSON object"},
		{"null", `null`, "the body must be a JSON object"},
		{"text", `"a"`, "the body must be a JSON object"},
		{"unescaped quote", `{"node_id":"a","ip":"","meta":"my "best" node","status":"UP"}`, `invalid JSON at byte 36: invalid character 'b' after object key:value pair` + escape},
		{"unescaped backslash", `{"node_id":"a","ip":"","meta":"C:\gensyn","status":"UP"}`, `invalid JSON at byte 35: invalid character 'g' in string escape code` + escape},
		{"bytes are counted as sent", "{\"node_id\":\"\xfc\xfc\xfc\",x", `invalid JSON at byte 18: invalid character 'x' looking for beginning of object key string` + escape},
		{"byte order mark counts", "\uFEFF{x", `invalid JSON at byte 5: invalid character 'x' looking for beginning of object key string` + escape},
		{"cut off", `{"node_id":"a`, `invalid JSON at byte 13: unexpected end of JSON input` + escape},
		{"two objects", `{"node_id":"a"}{}`, `invalid JSON at byte 16: invalid character '{' after top-level value` + escape},

		{"status", `{"node_id":"a","status":{}}`, "status must be a string"},
		{"reason", `{"node_id":"a","reason":[]}`, "reason must be a string"},
		{"evidence", `{"node_id":"a","evidence":false}`, "evidence must be a string"},
		{"boot_id", `{"node_id":"a","boot_id":{}}`, "boot_id must be a string"},
		{"interval_sec", `{"node_id":"a","interval_sec":"60"}`, "interval_sec must be a number of seconds"},
		{"interval_sec too great", `{"node_id":"a","interval_sec":1e999}`, "interval_sec must be a number of seconds"},
		{"seq", `{"node_id":"a","seq":"1"}`, "seq must be a whole number"},
		{"seq with a fraction", `{"node_id":"a","seq":1.5}`, "seq must be a whole number"},
		{"seq too great", `{"node_id":"a","seq":9223372036854775808}`, "seq must be a whole number"},
		{"agent", `{"node_id":"a","agent":"curl"}`, "agent must be an object"},
		{"agent.os", `{"node_id":"a","agent":{"os":[]}}`, "agent.os must be a string"},
		{"the first of two", `{"node_id":"a","seq":"1","status":{}}`, "status must be a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := Decode([]byte(tt.body), testPeer)
			var e *InvalidError
			if !errors.As(err, &e) || e.Detail != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if !reflect.DeepEqual(h, contract.Heartbeat{}) {
				t.Errorf("a refused body gave %+v", h)
			}
		})
	}
}

func TestDecodeDeepNesting(t *testing.T) {
	deep := strings.Repeat("[", contract.MaxBodyBytes)
	if _, err := Decode([]byte(deep), testPeer); err == nil {
		t.Error("brackets without end were taken for a heartbeat")
	}
	n := contract.MaxReportBytes/2 - 10
	body := `{"node_id":"a","metrics":{"\u0061":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}}`
	h, err := Decode([]byte(body), testPeer)
	if err != nil || len(h.Metrics) != 2*n+len(`{"a":}`) {
		t.Fatalf("got %d bytes, %v", len(h.Metrics), err)
	}
	checkInvariants(t, h)
}

// FuzzDecode checks that no body whatsoever breaks the decoder, its limits, or the batch it ends in.
func FuzzDecode(f *testing.F) {
	bodies, err := filepath.Glob("testdata/wire/*.body")
	if err != nil || len(bodies) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, path := range bodies {
		if body := mustRead(f, path); len(body) < 1000 { // the fuzzer is slow with long ones
			f.Add(body)
		}
	}
	f.Add([]byte(`{"node_id":"a","metrics":{"\u0000":"\ud800<&>","b":1e5},"agent":{"os":5}}`))
	f.Add([]byte("\uFEFF{\"node_id\":\"\xff\",\"interval_sec\":-0,\"seq\":-1}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := Decode(body, testPeer)
		var e *InvalidError
		switch {
		case err == nil:
			checkInvariants(t, h)
		case !errors.As(err, &e) || e.Detail == "":
			t.Errorf("error without words for the agent: %v", err)
		}
	})
}

// checkInvariants are what everything after the decoder relies on.
func checkInvariants(t *testing.T, h contract.Heartbeat) {
	t.Helper()
	for _, text := range []struct {
		name, value string
		limit       int
	}{
		{"node_id", h.NodeID, 4 * contract.MaxNodeIDChars},
		{"ip", h.IP, 39},
		{"meta", h.Meta, contract.MaxMetaBytes},
		{"status", h.Status, maxWordBytes},
		{"reason", h.Reason, contract.MaxReasonBytes},
		{"evidence", h.Evidence, contract.MaxEvidenceBytes},
		{"boot_id", h.BootID, maxWordBytes},
		{"agent.version", h.Agent.Version, maxWordBytes},
		{"agent.os", h.Agent.OS, maxWordBytes},
		{"agent.arch", h.Agent.Arch, maxWordBytes},
		{"metrics", string(h.Metrics), contract.MaxReportBytes},
		{"workload", string(h.Workload), contract.MaxReportBytes},
	} {
		if !utf8.ValidString(text.value) || len(text.value) > text.limit || strings.ContainsRune(text.value, 0) {
			t.Errorf("%s is not clean: %q", text.name, text.value)
		}
	}
	if strings.TrimSpace(h.NodeID) != h.NodeID || h.NodeID == "" || utf8.RuneCountInString(h.NodeID) > contract.MaxNodeIDChars {
		t.Errorf("node_id %q", h.NodeID)
	}
	if !(h.IntervalSec >= 0) {
		t.Errorf("interval_sec %v", h.IntervalSec)
	}
	for _, report := range []json.RawMessage{h.Metrics, h.Workload} {
		if report != nil && (report[0] != '{' || bytes.Contains(report, []byte(`\u0000`)) || !json.Valid(report)) {
			t.Errorf("report %s", report)
		}
	}
	for _, a := range h.Annotations {
		for limit, text := range map[int]string{maxWordBytes: a.Status, contract.MaxEvidenceBytes: a.Evidence} {
			if !utf8.ValidString(text) || len(text) > limit || strings.ContainsRune(text, 0) {
				t.Errorf("annotation is not clean: %q", text)
			}
		}
	}
	checkBatch(t, h)
}

// checkBatch sends h through a batch, twice, and expects to read it again.
func checkBatch(t *testing.T, h contract.Heartbeat) {
	t.Helper()
	one, err := encode(nil, h)
	if err != nil {
		t.Fatal(err)
	}
	if len(one) > maxBatchBytes/4 {
		t.Errorf("one heartbeat takes %d bytes", len(one))
	}
	data, err := join(contract.Batch{V: contract.Version, Ingest: "i", Accepted: 2}, [][]byte{one, one})
	if err != nil {
		t.Fatal(err)
	}
	got, err := contract.DecodeBatch(data)
	if err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	want := contract.Batch{V: contract.Version, Ingest: "i", Accepted: 2, Heartbeats: []contract.Heartbeat{h, h}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
