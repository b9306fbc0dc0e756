package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Exit codes of curl (its manual, "EXIT CODES").
const (
	curlOK          = 0
	curlUsage       = 2
	curlBadURL      = 3
	curlUnknownHost = 6
	curlRefused     = 7
	curlHTTPError   = 22
	curlWriteError  = 23
	curlTimeout     = 28
	curlNoReply     = 52
)

// curlOptions are the options understood; any other is refused by name rather than ignored.
type curlOptions struct {
	fail, silent, showError bool
	output, address         string
	timeout                 time.Duration
}

// curl fetches one address the way `curl -fsS -o FILE URL` does and returns curl's exit code.
func curl(arguments []string, stdout, stderr io.Writer) int {
	options, err := parseCurl(arguments)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "curl: %v (this is the health check's stand-in for curl)\n", err)
		return curlUsage
	}
	code, err := options.fetch(stdout)
	if err != nil && (!options.silent || options.showError) {
		_, _ = fmt.Fprintf(stderr, "curl: (%d) %v\n", code, err)
	}
	return code
}

func parseCurl(arguments []string) (curlOptions, error) {
	var options curlOptions
	next := func(i *int, name string) (string, error) {
		if *i+1 >= len(arguments) {
			return "", fmt.Errorf("option %s: requires parameter", name)
		}
		*i++
		return arguments[*i], nil
	}
	for i := 0; i < len(arguments); i++ {
		argument := arguments[i]
		var err error
		switch {
		case argument == "--fail":
			options.fail = true
		case argument == "--silent":
			options.silent = true
		case argument == "--show-error":
			options.showError = true
		case argument == "--output" || argument == "-o":
			options.output, err = next(&i, argument)
		case argument == "--max-time" || argument == "-m":
			var text string
			if text, err = next(&i, argument); err == nil {
				options.timeout, err = seconds(text)
			}
		case len(argument) > 1 && argument[0] == '-' && strings.Trim(argument[1:], "fsS") == "":
			options.fail = options.fail || strings.Contains(argument, "f")
			options.silent = options.silent || strings.Contains(argument, "s")
			options.showError = options.showError || strings.Contains(argument, "S")
		case strings.HasPrefix(argument, "-"):
			err = fmt.Errorf("option %s: is unknown", argument)
		case options.address != "":
			err = errors.New("more than one address")
		default:
			options.address = argument
		}
		if err != nil {
			return options, err
		}
	}
	if options.address == "" {
		return options, errors.New("no URL specified")
	}
	return options, nil
}

func seconds(text string) (time.Duration, error) {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || value < 0 {
		return 0, fmt.Errorf("option --max-time: %q is no number of seconds", text)
	}
	return time.Duration(value * float64(time.Second)), nil
}

func (options curlOptions) fetch(stdout io.Writer) (int, error) {
	parsed, err := url.Parse(options.address)
	if err != nil || parsed.Scheme != "http" || parsed.Host == "" {
		return curlBadURL, fmt.Errorf("URL rejected: %q is not http://HOST/PATH", options.address)
	}
	ctx := context.Background()
	if options.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, options.timeout)
		defer cancel()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, options.address, http.NoBody)
	if err != nil {
		return curlBadURL, err
	}
	// Without -L curl shows a redirect rather than following it.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return curlFailure(err), fmt.Errorf("%s: %w", parsed.Host, err)
	}
	defer func() { _ = response.Body.Close() }()
	if options.fail && response.StatusCode >= http.StatusBadRequest {
		return curlHTTPError, fmt.Errorf("The requested URL returned error: %d", response.StatusCode) //nolint:staticcheck // curl's words
	}
	target := stdout
	if options.output != "" && options.output != "-" {
		file, err := os.OpenFile(options.output, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return curlWriteError, err
		}
		defer func() { _ = file.Close() }()
		target = file
	}
	if _, err := io.Copy(target, response.Body); err != nil {
		return curlFailure(err), err
	}
	return curlOK, nil
}

func curlFailure(err error) int {
	var lookup *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &lookup):
		return curlUnknownHost
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH):
		return curlRefused
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return curlTimeout
	}
	return curlNoReply
}
