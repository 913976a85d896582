package web

import (
	"context"
	"net/http"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// getSilences answers the silences that are not over, for those who may end them.
func (s *Service) getSilences(w http.ResponseWriter, r *http.Request) {
	found, err := s.silences(r.Context())
	if err != nil {
		s.note(err)
		unavailable(w, "the database does not answer")
		return
	}
	out := make([]silenceAnswer, len(found))
	for i, x := range found {
		out[i] = newSilence(x)
	}
	answer(w, http.StatusOK, out)
}

func (s *Service) silences(ctx context.Context) ([]nodestore.Silence, error) {
	if s.Quieting == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	return s.Quieting.Silences(ctx, s.Now())
}
