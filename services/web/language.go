package web

import (
	"net/http"
	"strconv"
	"strings"
)

// languageCookie remembers a language that was asked for by ?lang=.
const languageCookie = "lang"

// language chooses by ?lang=, else as it was chosen before, else by what the browser prefers, else English.
func language(r *http.Request) *words {
	if w := wordsOf(r.URL.Query().Get("lang")); w != nil {
		return w
	}
	if c, err := r.Cookie(languageCookie); err == nil {
		if w := wordsOf(c.Value); w != nil {
			return w
		}
	}
	best, bestQ := &english, 0.0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, q := weighted(part)
		primary, _, _ := strings.Cut(tag, "-")
		if w := wordsOf(primary); w != nil && q > bestQ {
			best, bestQ = w, q
		}
	}
	return best
}

// chooseLanguage is language, and remembers what was asked for.
func (s *Service) chooseLanguage(w http.ResponseWriter, r *http.Request) *words {
	words := language(r)
	if wordsOf(r.URL.Query().Get("lang")) != nil {
		http.SetCookie(w, &http.Cookie{
			Name: languageCookie, Value: words.Lang, Path: "/", MaxAge: 365 * 24 * 3600,
			HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.TrustedProxies.HTTPS(r),
		})
	}
	return words
}

// inLanguage is the address of the same page in another language, relative to it.
func inLanguage(r *http.Request, lang string) string {
	v := r.URL.Query()
	v.Set("lang", lang)
	return "?" + v.Encode()
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
