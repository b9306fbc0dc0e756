package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// clientTimeout is how long a docker command that should be quick may take; the Docker Pipeline plugin's own figure
// (DockerClient.CLIENT_TIMEOUT).
const clientTimeout = 180 * time.Second

// Docker runs the docker CLI in one folder, with one environment, and shows what it runs.
type Docker struct {
	Command string    // the CLI's name or path
	Folder  string    // where it runs
	Log     io.Writer // gets "+ docker ..." lines and what commands say
}

// Show runs a command whose output belongs in the log, as the `sh` step does. The error names the exit code.
func (docker Docker) Show(ctx context.Context, arguments ...string) error {
	docker.trace(arguments)
	command := docker.command(ctx, arguments)
	command.Stdout, command.Stderr = docker.Log, docker.Log
	return explain(ctx, arguments, command.Run(), "")
}

// Read runs a command whose standard output is an answer; what it says on standard error goes into the error.
func (docker Docker) Read(ctx context.Context, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	docker.trace(arguments)
	command := docker.command(ctx, arguments)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := explain(ctx, arguments, command.Run(), stderr.String())
	return strings.TrimSpace(stdout.String()), err
}

func (docker Docker) command(ctx context.Context, arguments []string) *exec.Cmd {
	command := exec.CommandContext(ctx, docker.Command, arguments...)
	command.Dir = docker.Folder
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 2 * time.Second
	return command
}

func (docker Docker) trace(arguments []string) {
	var line strings.Builder
	for i := 0; i < len(arguments); i++ {
		word := strings.ReplaceAll(arguments[i], "\n", `\n`)
		if word == "" || strings.ContainsAny(word, " \t\n\"'$&|;<>(){}*?") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		line.WriteString(" " + word)
		if arguments[i] == "-e" || arguments[i] == "--env" {
			line.WriteString(" ********") // the plugin masks every value
			i++
		}
	}
	_, _ = fmt.Fprintf(docker.Log, "+ docker%s\n", line.String())
}

func explain(ctx context.Context, arguments []string, err error, said string) error {
	if err == nil {
		return nil
	}
	var ended *exec.ExitError
	name := "docker " + arguments[0]
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s did not end in time", name)
	case ctx.Err() != nil:
		return fmt.Errorf("%s was stopped", name)
	case errors.As(err, &ended):
		err = fmt.Errorf("%s ended with exit code %d", name, ended.ExitCode())
	default:
		err = fmt.Errorf("%s could not be run: %w", name, err)
	}
	if said = strings.TrimSpace(said); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return err
}

var (
	cgroupID   = regexp.MustCompile(`(?m)[/-]([0-9a-f]{64})(?:\.scope)?$`)
	hostnameID = regexp.MustCompile(`/containers/([0-9a-f]{64})/hostname`)
)

// OwnContainer is the id of the container that this process runs in, found the two ways the plugin has: the control
// group's path (cgroup v1), then the mount of /etc/hostname (cgroup v2). False outside of a container.
func OwnContainer(cgroup, mountinfo string) (string, bool) {
	text, _ := os.ReadFile(cgroup) // absent where there are no control groups
	if match := cgroupID.FindSubmatch(text); match != nil {
		return string(match[1]), true
	}
	text, _ = os.ReadFile(mountinfo)
	if match := hostnameID.FindSubmatch(text); match != nil {
		return string(match[1]), true
	}
	return "", false
}
