package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func itoa(number int) string { return strconv.Itoa(number) }

// fakeDocker notes its arguments, one call a line, and answers like an engine that holds what the sample needs.
// DENY names the subcommand that fails; HANG the one that never ends; LEFT is what `docker ps` lists; STRANGER makes it
// an engine that the controller does not run on.
const fakeDocker = `#!/bin/sh
echo "$*" >> "$CALLS"
if [ "$1" = "$HANG" ]; then exec sleep 60; fi
if [ "$1" = "$DENY" ]; then echo "Cannot connect to the Docker daemon" >&2; exit 1; fi
case "$1 $2" in
"inspect -f") case "$3" in *Mounts*) if [ "$STRANGER" ]; then echo "No such object: $4" >&2; exit 1; fi; printf '%s\n/var/run/docker.sock\n' "$MOUNT";; *) echo .;; esac;;
"run -t") echo c0ffee;;
"top c0ffee") printf 'PID COMMAND\n1 %s\n' "${COMM:-cat}";;
"exec c0ffee") if [ "$3" = cat ]; then cat "${WORKSPACE_SEEN:-$4}"; else echo "This is a simple file."; fi;;
"ps -aq") echo $LEFT;;
"ps -a") echo $LABELS;;
esac
`

// rig is a sample pipeline with the fake CLI, "inside" the container `self`.
type rig struct {
	*Sample
	home, calls string
}

func newRig(t *testing.T, variables map[string]string) rig {
	t.Helper()
	home := t.TempDir()
	calls := filepath.Join(home, "calls")
	command := write(t, filepath.Join(home, "bin", "docker"), fakeDocker)
	must(t, os.Chmod(command, 0o755))
	t.Setenv("CALLS", calls)
	t.Setenv("MOUNT", home)
	t.Setenv("LEFT", "c0ffee")
	for name, value := range variables {
		t.Setenv(name, value)
	}
	sample, err := NewSample(home)
	must(t, err)
	sample.command = command
	sample.ownContainer = func() (string, bool) { return "self", true }
	return rig{Sample: sample, home: home, calls: calls}
}

func (rig rig) run(ctx context.Context, job string) (Result, string) {
	var log bytes.Buffer
	result := rig.Run(ctx, Build{Job: job, Number: 3}, &log)
	return result, log.String()
}

func (rig rig) called(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(rig.calls)
	must(t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func TestTheSampleRunsWhatTheDockerPipelinePluginRuns(t *testing.T) {
	rig := newRig(t, nil)
	result, log := rig.run(context.Background(), sampleJob)
	if result != Success {
		t.Fatalf("%s\n%s", result, log)
	}
	workspace := filepath.Join(rig.home, "workspace", "sample")
	user := itoa(os.Getuid()) + ":" + itoa(os.Getgid())
	label := buildLabel + "=" + rig.identity + "/sample/3"
	want := []string{
		"build -t simple-jenkins-image .",
		"inspect -f . simple-jenkins-image",
		"inspect -f {{range .Mounts}}{{.Destination}}", "{{end}} self", // one call, shown on two lines
		"run -t -d -u " + user + " -w " + workspace + " --label " + label + " --volumes-from self" +
			" -e BUILD_NUMBER=3 -e JOB_NAME=sample -e WORKSPACE=" + workspace + " simple-jenkins-image cat",
		"top c0ffee -eo pid,comm",
		"exec c0ffee sh -c sh -xe -c 'cat /a.txt' 2>&1",
		"exec c0ffee cat " + workspace + "@tmp/seen-by-the-container",
		"ps -aq --no-trunc --filter label=" + label,
		"stop --time=1 c0ffee",
		"rm -f --volumes c0ffee",
	}
	if got := rig.called(t); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("called\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for name, text := range map[string]string{"a.txt": sampleText, "Dockerfile": sampleDockerfile} {
		if written, err := os.ReadFile(filepath.Join(workspace, name)); err != nil || string(written) != text {
			t.Errorf("%s: %q %v", name, written, err)
		}
	}
	for _, line := range []string{
		"+ docker build -t simple-jenkins-image .", "This is a simple file.", "-e ********", "seems to be running inside container self",
		"[post: always]", "[post: success]",
	} {
		if !strings.Contains(log, line) {
			t.Errorf("%q is not in the log\n%s", line, log)
		}
	}
	if strings.Contains(log, "post: failure") || strings.Contains(log, "JOB_NAME=sample") {
		t.Errorf("log\n%s", log)
	}
}

func TestAFailingDockerStepFailsTheBuildShowsDockersWordsAndCleansUp(t *testing.T) {
	for step, started := range map[string]bool{"build": false, "inspect": false, "run": true, "top": true, "exec": true, "rm": true} {
		t.Run(step, func(t *testing.T) {
			rig := newRig(t, map[string]string{"DENY": step})
			result, log := rig.run(context.Background(), sampleJob)
			if result != Failure {
				t.Errorf("result %s", result)
			}
			for _, line := range []string{"Cannot connect to the Docker daemon", "docker " + step + " ended with exit code 1",
				"[post: always]", "[post: failure]"} {
				if !strings.Contains(log, line) {
					t.Errorf("%q is not in the log\n%s", line, log)
				}
			}
			removed := strings.Contains(strings.Join(rig.called(t), "\n"), "rm -f --volumes c0ffee")
			if removed != started {
				t.Errorf("removed: %t", removed)
			}
		})
	}
}

func TestAContainerThatSeesAnotherWorkspaceFailsTheBuild(t *testing.T) {
	other := write(t, filepath.Join(t.TempDir(), "file"), "something else")
	result, log := newRig(t, map[string]string{"WORKSPACE_SEEN": other}).run(context.Background(), sampleJob)
	if result != Failure || !strings.Contains(log, "sees another workspace") {
		t.Errorf("%s\n%s", result, log)
	}
}

func TestAnImageThatDoesNotRunTheCommandFailsTheBuild(t *testing.T) {
	result, log := newRig(t, map[string]string{"COMM": "nginx"}).run(context.Background(), sampleJob)
	if result != Failure || !strings.Contains(log, "does not run the expected command") {
		t.Errorf("%s\n%s", result, log)
	}
}

func TestTheWorkspaceIsBoundByPathWhereNoVolumeHoldsIt(t *testing.T) {
	for name, prepare := range map[string]func(rig){
		"not in a container":                 func(rig rig) { rig.ownContainer = func() (string, bool) { return "", false } },
		"on another engine than its own":     func(rig) { t.Setenv("STRANGER", "1") },
		"a volume whose name is only longer": func(rig rig) { t.Setenv("MOUNT", rig.home+"/work") },
	} {
		t.Run(name, func(t *testing.T) {
			rig := newRig(t, nil)
			prepare(rig)
			result, log := rig.run(context.Background(), sampleJob)
			workspace := filepath.Join(rig.home, "workspace", "sample")
			calls := strings.Join(rig.called(t), "\n")
			if result != Success || strings.Contains(calls, "--volumes-from") ||
				!strings.Contains(calls, "-v "+workspace+":"+workspace+":rw,z -v "+workspace+"@tmp:"+workspace+"@tmp:rw,z") {
				t.Errorf("%s\n%s\n%s", result, log, calls)
			}
		})
	}
}

func TestOnAnEngineElsewhereTheImageRunsByItselfWithoutTheWorkspace(t *testing.T) {
	rig := newRig(t, nil)
	rig.remote = true
	result, log := rig.run(context.Background(), sampleJob)
	calls := rig.called(t)
	if result != Success || calls[1] != "run --rm simple-jenkins-image" || len(calls) != 2 {
		t.Errorf("%s\n%s\n%s", result, log, calls)
	}
}

func TestAnyOtherJobFailsAtOnceAndSaysWhy(t *testing.T) {
	rig := newRig(t, nil)
	result, log := rig.run(context.Background(), "app")
	if result != Failure || !strings.Contains(log, `The stand-in runs only the job "sample". Deploy Jenkins to run "app".`) {
		t.Errorf("%s\n%s", result, log)
	}
	if _, err := os.Stat(rig.calls); err == nil {
		t.Error("docker was called")
	}
}

func TestStoppingEndsTheRunningCommandAndRemovesTheContainer(t *testing.T) {
	rig := newRig(t, map[string]string{"HANG": "top"})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for !strings.Contains(rig.soFar(), "top c0ffee") {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	started := time.Now()
	result, log := rig.run(ctx, sampleJob)
	if result != Aborted || time.Since(started) > stopSeconds*time.Second {
		t.Errorf("%s after %s", result, time.Since(started))
	}
	if !strings.Contains(log, "docker top was stopped") || !strings.Contains(log, "[post: aborted]") {
		t.Errorf("log\n%s", log)
	}
	if !strings.Contains(rig.soFar(), "rm -f --volumes c0ffee") {
		t.Error("the container is left")
	}
}

func (rig rig) soFar() string {
	text, _ := os.ReadFile(rig.calls)
	return string(text)
}

func TestLeftoversOfThisHomeGoAndOthersStay(t *testing.T) {
	rig := newRig(t, nil)
	t.Setenv("LABELS", rig.identity+"/sample/1 0123456789abcdef/sample/1")
	rig.RemoveLeftovers()
	calls := rig.soFar()
	if !strings.Contains(calls, "label="+buildLabel+"="+rig.identity+"/sample/1") || strings.Contains(calls, "=0123456789abcdef") {
		t.Errorf("calls\n%s", calls)
	}
	if again, err := Identity(rig.home); err != nil || again != rig.identity {
		t.Errorf("the identity changed: %q %v", again, err)
	}
}

func TestTheOwnContainerIsFoundInBothCgroupVersions(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for name, row := range map[string]struct {
		cgroup, mountinfo string
		found             bool
	}{
		"cgroup v1":              {"12:pids:/docker/" + id + "\n1:name=systemd:/docker/" + id + "\n", "", true},
		"cgroup v1 with systemd": {"3:cpu:/system.slice/docker-" + id + ".scope\n", "", true},
		"cgroup v2":              {"0::/\n", "1 2 8:1 /var/lib/docker/containers/" + id + "/hostname /etc/hostname rw - ext4 /dev/sda rw\n", true},
		"no container":           {"0::/user.slice\n", "1 2 8:1 / / rw - ext4 /dev/sda rw\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			cgroup, mountinfo := write(t, folder+"/cgroup", row.cgroup), write(t, folder+"/mountinfo", row.mountinfo)
			own, found := OwnContainer(cgroup, mountinfo)
			if found != row.found || (found && own != id) {
				t.Errorf("%q %t", own, found)
			}
		})
	}
}
