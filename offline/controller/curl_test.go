package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCurlEndsWithTheExitCodesOfCurl(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		switch request.URL.Path {
		case "/login":
			_, _ = writer.Write([]byte("hello"))
		case "/moved":
			http.Redirect(writer, request, "/starting", http.StatusFound)
		case "/slow":
			<-release
		default:
			writer.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	defer close(release)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	refused := "http://" + listener.Addr().String() + "/"
	must(t, listener.Close())
	file := filepath.Join(t.TempDir(), "body")

	for name, row := range map[string]struct {
		arguments    []string
		code         int
		stdout, says string
	}{
		"the health check":            {[]string{"-fsS", "-o", file, server.URL + "/login"}, 0, "", ""},
		"long options":                {[]string{"--fail", "--silent", "--show-error", server.URL + "/login"}, 0, "hello", ""},
		"an error status":             {[]string{"-fsS", server.URL + "/starting"}, 22, "", "returned error: 503"},
		"an error status, unasked":    {[]string{"-s", server.URL + "/starting"}, 0, "", ""},
		"a redirect is not followed":  {[]string{"-fsS", "-o", file, server.URL + "/moved"}, 0, "", ""},
		"silent":                      {[]string{"-fs", server.URL + "/starting"}, 22, "", ""},
		"refused":                     {[]string{"-fsS", refused}, 7, "", "curl: (7)"},
		"too slow":                    {[]string{"-fsS", "-m", "0.05", server.URL + "/slow"}, 28, "", "curl: (28)"},
		"no such host":                {[]string{"-fsS", "http://no-such-host.invalid/"}, 6, "", "curl: (6)"},
		"not an address":              {[]string{"-fsS", "ftp://host/"}, 3, "", "URL rejected"},
		"an option it does not have":  {[]string{"-L", server.URL}, 2, "", "option -L: is unknown"},
		"a file that can't be opened": {[]string{"-fsS", "-o", t.TempDir(), server.URL + "/login"}, 23, "", "curl: (23)"},
		"no address":                  {nil, 2, "", "no URL"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			started := time.Now()
			code := curl(row.arguments, &stdout, &stderr)
			if code != row.code || stdout.String() != row.stdout || !strings.Contains(stderr.String(), row.says) {
				t.Errorf("code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
			}
			if row.says == "" && stderr.Len() > 0 {
				t.Errorf("stderr %q", stderr.String())
			}
			if time.Since(started) > 10*time.Second {
				t.Error("it took too long")
			}
		})
	}
	if text, err := os.ReadFile(file); err != nil || len(text) == 0 {
		t.Errorf("%q %v", text, err)
	}
}
