package main

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestEverythingAnswers503UntilTheControllerIsReady(t *testing.T) {
	for _, path := range []string{"/", "/login", "/api/json"} {
		recorder := httptest.NewRecorder()
		NewSite().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		if recorder.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", path, recorder.Code)
		}
	}
}

func TestWithoutALoginOnlyTheLoginPageIsShown(t *testing.T) {
	server := site(t, &scripted{}, "sample")
	for path, want := range map[string]int{
		"/login": 200, "/login?from=%2F": 200, "/robots.txt": 200, "/loginError": 401, "/": 403, "/api/json": 403,
		"/crumbIssuer/api/json": 403, "/job/sample/": 403, "/job/sample/api/json": 403, "/job/sample/lastBuild/api/json": 403,
		"/job/sample/1/consoleText": 403, "/job/sample/1/logText/progressiveText": 403, "/queue/item/1/api/json": 403,
		"/job/other/": 403, "/nothing/here": 403, "/login/../api/json": 403, "//api/json": 403,
	} {
		response, body := newClient(t, server, "", "").get(path)
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, response.StatusCode, want)
		}
		if want == 403 && response.Header.Get("X-Required-Permission") == "" {
			t.Errorf("%s: no X-Required-Permission", path)
		}
		if path != "/robots.txt" && !strings.Contains(body, "This is not Jenkins.") {
			t.Errorf("%s does not say what it is", path)
		}
	}
}

func TestNothingClaimsToBeAVersionOfJenkins(t *testing.T) {
	response, _ := newClient(t, site(t, &scripted{}), "admin", password).get("/api/json")
	if response.Header.Get("X-Jenkins") != "" || response.Header.Get(standInHeader) != "1" {
		t.Errorf("headers %v", response.Header)
	}
}

func TestAWrongPasswordIs401EverywhereAndTheRightOne200(t *testing.T) {
	server := site(t, &scripted{}, "sample")
	for name, row := range map[string]struct {
		user, password string
		want           int
	}{
		"right": {"admin", password, 200}, "wrong": {"admin", "guess", 401}, "empty": {"admin", "", 401},
		"unknown user": {"root", password, 401},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/api/json", "/login"} {
				response, _ := newClient(t, server, row.user, row.password).get(path)
				if response.StatusCode != row.want {
					t.Errorf("%s: %d, want %d", path, response.StatusCode, row.want)
				}
				if row.want == 401 && response.Header.Get("WWW-Authenticate") == "" {
					t.Error("no WWW-Authenticate")
				}
			}
		})
	}
	for _, header := range []string{"Basic", "Basic !!!", "basic " + base64.StdEncoding.EncodeToString([]byte("admin"))} {
		request, err := http.NewRequest(http.MethodGet, server.URL+"/api/json", nil)
		must(t, err)
		request.Header.Set("Authorization", header)
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		_ = response.Body.Close()
		if response.StatusCode == 200 {
			t.Errorf("%q logs in", header)
		}
	}
}

func TestAPostNeedsTheCrumbOfItsOwnSessionAndUser(t *testing.T) {
	server := site(t, &scripted{}, "sample")
	stranger := newClient(t, server, "admin", password)
	stranger.fetchCrumb()
	for name, prepare := range map[string]func(*client){
		"no crumb":                func(*client) {},
		"an invented crumb":       func(c *client) { c.fetchCrumb(); c.crumb = strings.Repeat("0", 64) },
		"another session's crumb": func(c *client) { c.fetchCrumb(); c.crumb = stranger.crumb },
		"a crumb without cookie":  func(c *client) { c.crumb = stranger.crumb },
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, server, "admin", password)
			prepare(client)
			response, body := client.do(http.MethodPost, "/job/sample/build", "")
			if response.StatusCode != 403 || !strings.Contains(body, "No valid crumb was included in the request") {
				t.Errorf("%d %s", response.StatusCode, body)
			}
		})
	}
	builds := stranger.json("/job/sample/api/json")["builds"].([]any)
	if len(builds) != 0 {
		t.Errorf("a refused request started %v", builds)
	}
}

func TestABrowserLogsInThroughTheFormAndStartsABuild(t *testing.T) {
	pipeline := &scripted{lines: make(chan string), ends: Success}
	close(pipeline.lines)
	browser := newClient(t, site(t, pipeline, "sample"), "", "")
	login := func(password, from string) *http.Response {
		form := url.Values{"j_username": {"admin"}, "j_password": {password}, "from": {from}}
		response, _ := browser.do(http.MethodPost, "/j_spring_security_check", form.Encode())
		return response
	}
	if to := login("guess", "/").Header.Get("Location"); to != "/loginError" {
		t.Errorf("a wrong password leads to %q", to)
	}
	for from, want := range map[string]string{"/job/sample/": "/job/sample/", "https://evil.example/": "/", "//evil.example": "/"} {
		if to := login(password, from).Header.Get("Location"); to != want {
			t.Errorf("from %q leads to %q, want %q", from, to, want)
		}
	}
	_, page := browser.get("/job/sample/")
	_, rest, found := strings.Cut(page, `name="Jenkins-Crumb" value="`)
	if !found {
		t.Fatalf("no crumb on the page:\n%s", page)
	}
	crumb, _, _ := strings.Cut(rest, `"`)
	response, _ := browser.do(http.MethodPost, "/job/sample/build", "from=page&"+crumbField+"="+crumb)
	if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "/job/sample/" {
		t.Errorf("%d %q", response.StatusCode, response.Header.Get("Location"))
	}
	eventually(t, "the build is on the page", func() bool {
		_, page := browser.get("/job/sample/lastBuild/console")
		return strings.Contains(page, "Finished: SUCCESS") && strings.Contains(page, "#1")
	})
	browser.get("/logout")
	if response, _ := browser.get("/"); response.StatusCode != 403 {
		t.Errorf("after the logout: %d", response.StatusCode)
	}
}
