package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const password = "open sesame twice"

// scripted is a pipeline that does what a test tells it to.
type scripted struct {
	lines chan string // written to the log as they come; closing it ends the build
	ends  Result
}

func (pipeline *scripted) Run(ctx context.Context, _ Build, log io.Writer) Result {
	for {
		select {
		case <-ctx.Done():
			return Aborted
		case line, more := <-pipeline.lines:
			if !more {
				return pipeline.ends
			}
			_, _ = io.WriteString(log, line+"\n")
		}
	}
}

// site starts a ready site with one account (admin) and the jobs given, and stops it when the test ends.
func site(t *testing.T, pipeline Pipeline, jobs ...string) *httptest.Server {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	must(t, err)
	store, err := OpenStore(t.TempDir())
	must(t, err)
	settings := Settings{Setup: setupCasc, Accounts: map[string][]byte{"admin": hash}, Jobs: jobs}
	controller := NewController(settings, store, pipeline)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { controller.Work(ctx); close(done) }()
	served := NewSite()
	served.Ready(controller)
	server := httptest.NewServer(served)
	t.Cleanup(func() { server.Close(); cancel(); <-done })
	return server
}

// client is a program or a browser: it keeps cookies and does not follow redirects.
type client struct {
	t              *testing.T
	root           string
	http           *http.Client
	user, password string
	crumb          string
}

func newClient(t *testing.T, server *httptest.Server, user, password string) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &client{t: t, root: server.URL, user: user, password: password, http: &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (client *client) do(method, path, form string) (*http.Response, string) {
	client.t.Helper()
	request, err := http.NewRequest(method, client.root+path, strings.NewReader(form))
	must(client.t, err)
	if form != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if client.user != "" {
		request.SetBasicAuth(client.user, client.password)
	}
	if client.crumb != "" {
		request.Header.Set(crumbField, client.crumb)
	}
	response, err := client.http.Do(request)
	must(client.t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	must(client.t, err)
	return response, string(body)
}

func (client *client) get(path string) (*http.Response, string) {
	client.t.Helper()
	return client.do(http.MethodGet, path, "")
}

func (client *client) json(path string) map[string]any {
	client.t.Helper()
	response, body := client.get(path)
	if response.StatusCode != http.StatusOK {
		client.t.Fatalf("GET %s: %d %s", path, response.StatusCode, body)
	}
	var value map[string]any
	must(client.t, json.Unmarshal([]byte(body), &value))
	return value
}

func (client *client) fetchCrumb() {
	client.t.Helper()
	client.crumb = client.json("/crumbIssuer/api/json")["crumb"].(string)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition, for at most ten seconds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}
