package access

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A provider that does not answer is asked once for all who wait, not once after the other.
func TestManyWaitForTheProviderTogether(t *testing.T) {
	var asked atomic.Int64
	enough := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		<-enough
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	p := NewProvider(OIDC{Issuer: server.URL, ClientID: "x"}, "https://nodes.example.org/sign-in/oidc/callback")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, _, err := p.Ask(t.Context(), ""); err == nil {
				t.Error("a provider that is away was found")
			}
		})
	}
	time.AfterFunc(300*time.Millisecond, func() { close(enough) }) // most wait by then
	wg.Wait()
	if n := asked.Load(); n > 5 {
		t.Errorf("asked %d times", n)
	}
}
