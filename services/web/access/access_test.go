package access

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// A test vector of the reference implementation (phc-winner-argon2, src/test.c).
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestArgon2id(t *testing.T) {
	p, err := ParsePassword(reference)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Matches("password") || p.Matches("Password") || p.Matches("") || p.Matches(reference) {
		t.Error("the reference hash of password is not that of password alone")
	}
	const parts = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, bad := range [][2]string{
		{"argon2id", "argon2i"}, {"v=19", "v=16"}, {"m=65536", "m=99999999"}, {"t=2", "t=0"}, {"t=2", "t=2x"}, {"p=1", "p=0"}, {"p=1", "p=1,x=2"},
		{"$c29tZXNhbHQ", "$c2"}, {"$c29tZXNhbHQ", "$c29t!"}, {"$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "$CTFh"}, {"$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", ""},
		{"GRPPc", "GRPPc$x"},
	} {
		text := strings.Replace(parts, bad[0], bad[1], 1)
		if _, err := ParsePassword(settings.Secret(text)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestProofsTellNothing(t *testing.T) {
	proof := func(password, name string) string {
		p, err := ParsePassword(settings.Secret(password))
		if err != nil {
			t.Fatal(err)
		}
		return p.Proof(name)
	}
	a := proof("secret", "ann")
	if a != proof("secret", "ann") || a == proof("Secret", "ann") || a == proof("secret", "ben") || strings.Contains(a, "secret") || len(a) != 32 {
		t.Errorf("proof %s", a)
	}
}

// Many requests at once with what is right are all let in: they are one attempt, and one comparison.
func TestManyAtOnceWithTheRightOne(t *testing.T) {
	g := NewGate(func() time.Time { return time.Unix(1e9, 0) })
	var compared, refused atomic.Int64
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if ok, wait := g.Try(netip.MustParseAddr("192.0.2.1"), "right", func() bool {
				compared.Add(1)
				<-enough
				return true
			}); !ok || wait > 0 {
				refused.Add(1)
			}
		})
	}
	time.AfterFunc(200*time.Millisecond, func() { close(enough) }) // the others wait by then
	wg.Wait()
	if refused.Load() > 0 || compared.Load() > 5 {
		t.Errorf("%d refused, %d compared", refused.Load(), compared.Load())
	}
}

// Guessing in parallel gains nothing: an attempt is counted before anything is compared.
func TestParallelGuesses(t *testing.T) {
	g := NewGate(func() time.Time { return time.Unix(1e9, 0) })
	var compared, atOnce, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			g.Try(netip.MustParseAddr("192.0.2.1"), fmt.Sprint(i), func() bool {
				compared.Add(1)
				if n := atOnce.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(time.Millisecond)
				atOnce.Add(-1)
				return false
			})
		})
	}
	wg.Wait()
	if compared.Load() != failuresAtOnce || most.Load() > maxChecks {
		t.Errorf("%d compared, %d at once", compared.Load(), most.Load())
	}
}

// What was right is not compared again for the same address, and is for every other.
func TestRightIsRememberedForItsAddress(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := NewGate(func() time.Time { return now })
	compared := 0
	try := func(address, credential string) bool {
		ok, _ := g.Try(netip.MustParseAddr(address), credential, func() bool { compared++; return credential == "right" })
		return ok
	}
	for range 5 {
		if !try("192.0.2.1", "right") {
			t.Fatal("refused")
		}
	}
	if compared != 1 || try("192.0.2.1", "wrong") || compared != 2 {
		t.Errorf("%d compared", compared)
	}
	if !try("192.0.2.2", "right") || compared != 3 {
		t.Errorf("%d compared: another address is another client", compared)
	}
	if !try("2001:db8::1", "right") || !try("2001:db8::2", "right") || compared != 4 {
		t.Errorf("%d compared: an IPv6 client is its /64", compared)
	}
	for i := range 3 * maxKnown { // one a second, for the right ones cost nothing
		now = now.Add(time.Second)
		if !try(fmt.Sprintf("10.0.%d.%d", i/256, i%256), "right") {
			t.Fatal("refused")
		}
		try("192.0.2.1", "right")
	}
	before := compared
	if try("192.0.2.1", "right"); len(g.known) != maxKnown || compared != before {
		t.Errorf("%d remembered; who was in use all the time was compared %d times more", len(g.known), compared-before)
	}
}

// Where too much was guessed, also what was right there before is refused: it would be told from the wrong ones.
func TestGuessingWhereSomebodyIsIn(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := NewGate(func() time.Time { return now })
	try := func(credential string) (bool, time.Duration) {
		return g.Try(netip.MustParseAddr("192.0.2.1"), credential, func() bool { return credential == "right" })
	}
	if ok, _ := try("right"); !ok {
		t.Fatal("refused")
	}
	for range failuresAtOnce {
		try("wrong")
	}
	if ok, wait := try("right"); ok || wait <= 0 {
		t.Errorf("%v, wait %v", ok, wait)
	}
	now = now.Add(failuresEach)
	if ok, _ := try("right"); !ok {
		t.Error("refused later")
	}
}

func TestAllowed(t *testing.T) {
	var a Allowed
	if err := a.UnmarshalText([]byte("Ann@Example.org, @team.example,")); err != nil {
		t.Fatal(err)
	}
	for email, want := range map[string]bool{
		"ann@example.org": true, "ANN@EXAMPLE.ORG": true, "ben@example.org": false, "x@team.example": true, "x@sub.team.example": false,
		"x@evil-team.example": false, "@team.example": false, "": false, "team.example": false, "a@b@team.example": true,
	} {
		if a.Has(email) != want {
			t.Errorf("%q: want %v", email, want)
		}
	}
	for _, bad := range []string{"example.org", "@", "a@b@c"} {
		if a.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
