package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// described is the document of the API, ready to hold answers against it. There, objects may have no fields but those
// that are described: in the document itself they may, so that fields can be added.
type described struct {
	paths     map[string]map[string]any
	templates map[string]*regexp.Regexp
	compiler  *jsonschema.Compiler

	mu      sync.Mutex
	schemas map[string]*jsonschema.Schema
	seen    map[string]bool // operations with status that answers were held against
}

const documentURL = "https://monitor.invalid/openapi.json"

var api = sync.OnceValue(func() *described {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI))
	if err != nil {
		panic(err)
	}
	close := doc.(map[string]any)
	for name, schema := range close["components"].(map[string]any)["schemas"].(map[string]any) {
		if !strings.HasSuffix(name, "Base") { // made to be added to
			closeObjects(schema)
		}
	}
	d := &described{
		paths: map[string]map[string]any{}, templates: map[string]*regexp.Regexp{}, compiler: jsonschema.NewCompiler(),
		schemas: map[string]*jsonschema.Schema{}, seen: map[string]bool{},
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	if err := d.compiler.AddResource(documentURL, doc); err != nil {
		panic(err)
	}
	for path, item := range close["paths"].(map[string]any) {
		d.paths[path] = item.(map[string]any)
		d.templates[path] = regexp.MustCompile("^" + regexp.MustCompile(`\\\{[a-z_]+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "(.+)") + "$")
	}
	return d
})

func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		_, open := v["additionalProperties"]
		if v["properties"] != nil && !open || v["allOf"] != nil {
			v["unevaluatedProperties"] = false
		}
		for _, e := range v {
			closeObjects(e)
		}
	case []any:
		for _, e := range v {
			closeObjects(e)
		}
	}
}

// find returns the path of the document that a request's path belongs to, "" for none.
func (d *described) find(path string) string {
	if d.paths[path] != nil {
		return path
	}
	for template, expression := range d.templates {
		if expression.MatchString(path) {
			return template
		}
	}
	return ""
}

// check says what is wrong with an answer, or nil. Paths that are no part of the API are not checked.
func (d *described) check(r *http.Request, w *httptest.ResponseRecorder) error {
	if !strings.HasPrefix(r.URL.Path, "/api/") && !strings.HasPrefix(r.URL.Path, "/badge") {
		return nil
	}
	path := d.find(r.URL.Path)
	operation, _ := d.paths[path][strings.ToLower(strings.Replace(r.Method, "HEAD", "GET", 1))].(map[string]any)
	if operation == nil {
		if !slices.Contains([]int{401, 403, 404, 405, 429}, w.Code) {
			return fmt.Errorf("%s %s answers %d and is not described", r.Method, r.URL.Path, w.Code)
		}
		return nil
	}
	status := strconv.Itoa(w.Code)
	response, at := d.response(path, strings.ToLower(r.Method), operation, status)
	if response == nil {
		return fmt.Errorf("%s %s: status %s is not described", r.Method, path, status)
	}
	d.mu.Lock()
	d.seen[r.Method+" "+path+" "+status] = true
	d.mu.Unlock()
	return d.checkBody(r, w, response, at)
}

// response finds a response, by reference too, and where it stands.
func (d *described) response(path, method string, operation map[string]any, status string) (response map[string]any, at string) {
	response, _ = operation["responses"].(map[string]any)[status].(map[string]any)
	if ref, ok := response["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/responses/")
		return map[string]any{"content": map[string]any{"application/json": nil}}, "#/components/responses/" + name
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	return response, "#/paths/" + escape.Replace(path) + "/" + strings.Replace(method, "head", "get", 1) + "/responses/" + status
}

func (d *described) checkBody(r *http.Request, w *httptest.ResponseRecorder, response map[string]any, at string) error {
	content, _ := response["content"].(map[string]any)
	kind, _, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	switch {
	case content == nil && w.Body.Len() > 0:
		return fmt.Errorf("%s %s: %d answers a body that is not described", r.Method, r.URL.Path, w.Code)
	case content == nil:
		return nil
	case err != nil:
		return fmt.Errorf("%s %s: Content-Type %q: %w", r.Method, r.URL.Path, w.Header().Get("Content-Type"), err)
	}
	if _, ok := content[kind]; !ok {
		return fmt.Errorf("%s %s: %s is not described for %d", r.Method, r.URL.Path, kind, w.Code)
	}
	if kind != "application/json" || r.Method == http.MethodHead || w.Header().Get("Content-Encoding") != "" {
		return nil
	}
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		return fmt.Errorf("%s %s: %w in %s", r.Method, r.URL.Path, err, w.Body)
	}
	schema, err := d.schema(at + "/content/application~1json/schema")
	if err == nil {
		err = schema.Validate(body)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	return nil
}

func (d *described) schema(at string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.schemas[at]; s != nil {
		return s, nil
	}
	s, err := d.compiler.Compile(documentURL + strings.ReplaceAll(strings.ReplaceAll(at, "{", "%7B"), "}", "%7D"))
	d.schemas[at] = s
	return s, err
}

// TestTheDocumentIsOpenAPI holds the document against the schema of OpenAPI 3.1, and every schema in it against JSON
// Schema 2020-12.
func TestTheDocumentIsOpenAPI(t *testing.T) {
	c := jsonschema.NewCompiler()
	data, err := os.ReadFile("testdata/openapi-3.1.schema.json") // of the OpenAPI Initiative, Apache 2.0
	if err != nil {
		t.Fatal(err)
	}
	meta, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddResource("https://spec.openapis.org/oas/3.1/schema/2022-10-07", meta); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("https://spec.openapis.org/oas/3.1/schema/2022-10-07")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Error(err)
	}
	var names struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(openAPI, &names); err != nil {
		t.Fatal(err)
	}
	for name := range names.Components.Schemas {
		if _, err := api().schema("#/components/schemas/" + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Contains(openAPI, []byte(`"#/components/schemas/`+name+`"`)) {
			t.Errorf("%s is used nowhere", name)
		}
	}
}

func TestTheDocumentIsServed(t *testing.T) {
	w := do(newService(t, newFakeStore()), "GET", openAPIPath)
	wantStatus(t, w, 200)
	if !bytes.Equal(w.Body.Bytes(), openAPI) {
		t.Error("another document is served")
	}
	s := newService(t, newFakeStore(), func(o *Options) { o.PublicURL = `https://nodes.example.org/m"` })
	wantText(t, do(s, "GET", openAPIPath), `"url": "https://nodes.example.org/m\""`)
	if w := do(s, "HEAD", openAPIPath); w.Body.Len() != 0 {
		t.Error("HEAD answers a body")
	}
}

// TestChecksOfAnswersFindFaults: without this test the others could hold anything against the document.
func TestChecksOfAnswersFindFaults(t *testing.T) {
	answer := func(code int, kind, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		_, _ = w.WriteString(body)
		return w
	}
	good := do(newService(t, newFakeStore(sample()...)), "GET", "/api/nodes").Body.String()
	for _, tt := range []struct {
		target, kind, body string
		code               int
		fault              string
	}{
		{"/api/nodes", "application/json", good, 200, ""},
		{"/api/nodes", "application/json", strings.Replace(good, `"name":null`, `"name":null,"later":1`, 1), 200, "later"},
		{"/api/nodes", "application/json", strings.Replace(good, `"state":"up"`, `"state":"fine"`, 1), 200, "state"},
		{"/api/nodes", "application/json", strings.Replace(good, `"meta":null,`, ``, 1), 200, "meta"},
		{"/api/nodes", "application/json", `{}`, 200, "array"},
		{"/api/nodes", "text/html", good, 200, "text/html is not described"},
		{"/api/nodes", "application/json", `{"detail":7}`, 400, "detail"},
		{"/api/nodes", "application/json", `{"error":"x"}`, 503, "detail"},
		{"/api/nodes", "application/json", `{}`, 418, "418 is not described"},
		{"/api/nodes/a/b", "application/json", `{}`, 200, "node_id"},
		{"/api/later", "application/json", `{}`, 200, "is not described"},
		{"/api/later", "application/json", `{}`, 404, ""},
	} {
		r := httptest.NewRequest("GET", tt.target, nil)
		err := api().check(r, answer(tt.code, tt.kind, tt.body))
		if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s %d %s: %v, want %q", tt.target, tt.code, tt.kind, err, tt.fault)
		}
	}
}
