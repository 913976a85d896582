package contract_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

func TestTracesOfABatch(t *testing.T) {
	two := []contract.Trace{{Heartbeat: 0, Parent: "00-a"}, {Heartbeat: 17, Parent: "00-b"}}
	const text = "0=00-a,17=00-b"
	if got := contract.EncodeTraces(two); got != text {
		t.Errorf("written as %q", got)
	}
	if got := contract.EncodeTraces(nil); got != "" {
		t.Errorf("none are written as %q", got)
	}
	for in, want := range map[string][]contract.Trace{
		text: two, "": nil, "x=00-a,17=00-b": two[1:], "-1=00-a,17=00-b,5=,7": two[1:], "0=00-a,17=00-b,": two,
	} {
		if got := contract.DecodeTraces(in); !slices.Equal(got, want) {
			t.Errorf("%q is read as %v", in, got)
		}
	}
	many := make([]contract.Trace, 1000)
	for i := range many {
		many[i] = contract.Trace{Heartbeat: i, Parent: "00-a"}
	}
	if n := strings.Count(contract.EncodeTraces(many), "="); n != contract.MaxTraces {
		t.Errorf("%d of many are written", n)
	}
	if n := len(contract.DecodeTraces(strings.Repeat("1=00-a,", 1000))); n != contract.MaxTraces {
		t.Errorf("%d of many are read", n)
	}
}
