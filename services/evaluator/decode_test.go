package evaluator

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// FuzzDecodeBatch holds the quick way against contract's.
func FuzzDecodeBatch(f *testing.F) {
	for _, text := range []string{
		`{"v":1,"ingest":"a","accepted":2,"refused":{"401":3},"heartbeats":[{"node_id":"n","seq":4,"interval_sec":0.5,"agent":{"os":"linux"},"metrics":{"a":1},"annotations":[{"at":5,"status":"UP"}]}]}`,
		`{"V":1,"Heartbeats":[{"NODE_ID":"n"}]}`, `{"v":2,"heartbeats":7}`, `{"v":1,"v":1}`, `{"v":1,"unsure":true,"heartbeats":null}`,
		`{"v":1,"heartbeats":[{"node_id":"\ud800"}]}`, `{"v":1,"heartbeats":[{"seq":1.5}]}`, `{}`, ``, `null`, `{"v":1}x`, `{"v":1,"heartbeats":[{"metrics": {"a" : 1}}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeBatch(data)
		want, wantErr := contract.DecodeBatch(data)
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%q: %v, want %v", data, err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(plain(t, got), plain(t, want)) {
			t.Errorf("%q: %+v, want %+v", data, got, want)
		}
	})
}

// plain is a batch as its JSON says it, which makes no difference between nothing and empty.
func plain(t *testing.T, b contract.Batch) (out any) {
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
