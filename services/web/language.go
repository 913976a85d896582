package web

import (
	"net/http"
	"strconv"
	"strings"
)

// language chooses by ?lang=, else by what the browser prefers, else English. explicit says that ?lang= did it,
// so that links keep it.
func language(r *http.Request) (w *words, explicit bool) {
	if w := wordsOf(r.URL.Query().Get("lang")); w != nil {
		return w, true
	}
	best, bestQ := &english, 0.0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, q := weighted(part)
		primary, _, _ := strings.Cut(tag, "-")
		if w := wordsOf(primary); w != nil && q > bestQ {
			best, bestQ = w, q
		}
	}
	return best, false
}

func wordsOf(lang string) *words {
	switch strings.ToLower(lang) {
	case "en":
		return &english
	case "ru":
		return &russian
	}
	return nil
}

// weighted reads "ru-RU;q=0.8". A weight that cannot be read is 0: not wanted.
func weighted(part string) (tag string, q float64) {
	tag, params, _ := strings.Cut(part, ";")
	q = 1
	if value, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
		var err error
		if q, err = strconv.ParseFloat(value, 64); err != nil {
			q = 0
		}
	}
	return strings.TrimSpace(tag), q
}
