package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	sampleJob   = "sample"
	sampleImage = "simple-jenkins-image"
	buildLabel  = "ci.offline.build" // on every container of a build; its value starts with the home's identity

	// buildLimit ends a build that hangs; a warm build of the sample takes seconds.
	buildLimit = 15 * time.Minute
)

// The sample's two files. The article that this set-up goes back to has them so.
const (
	sampleText       = "This is a simple file.\n"
	sampleDockerfile = "FROM alpine:latest\nCOPY a.txt /a.txt\nCMD [\"cat\", \"/a.txt\"]\n"
)

// Sample is the sample pipeline, step by step what the Docker Pipeline plugin makes of it: docker.build, then a
// command run `inside` the image, then the post steps.
type Sample struct {
	home, command, identity string
	ownContainer            func() (string, bool)
	remote                  bool // the engine is elsewhere and can't see the workspace, so nothing runs `inside`
}

// NewSample prepares the pipeline for a home folder. It uses the docker CLI on PATH.
func NewSample(home string) (*Sample, error) {
	identity, err := Identity(home)
	if err != nil {
		return nil, fmt.Errorf("the home folder %s cannot be used: %w", home, err)
	}
	return &Sample{home: home, command: "docker", identity: identity, ownContainer: func() (string, bool) {
		return OwnContainer("/proc/self/cgroup", "/proc/1/mountinfo")
	}}, nil
}

// Run is one build. Post steps run whatever happened, as Jenkins runs them.
func (sample *Sample) Run(ctx context.Context, build Build, output io.Writer) Result {
	say := func(format string, words ...any) { _, _ = fmt.Fprintf(output, format+"\n", words...) }
	if build.Job != sampleJob {
		say("ERROR: The stand-in runs only the job %q. Deploy Jenkins to run %q.", sampleJob, build.Job)
		return Failure
	}
	limited, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	err := sample.stages(limited, build, output)
	result := Success
	switch {
	case err != nil && ctx.Err() != nil:
		result = Aborted
		say("ERROR: %v\nThe controller was told to stop.", err)
	case err != nil:
		result = Failure
		say("ERROR: %v", err)
	}
	say("[post: always] The build has ended.")
	switch result {
	case Success:
		say("[post: success] %s is on the engine that built it.", sampleImage)
	case Failure:
		say("[post: failure] The build has failed; the reason stands above.")
	case Aborted:
		say("[post: aborted] The build was stopped.")
	}
	return result
}

func (sample *Sample) stages(ctx context.Context, build Build, output io.Writer) error {
	workspace := filepath.Join(sample.home, "workspace", build.Job)
	// The `sh` step keeps its files beside the workspace, in <workspace>@tmp; so does the proof below.
	scratch := workspace + "@tmp"
	docker := Docker{Command: sample.command, Folder: workspace, Log: output}
	stage := func(name string) { _, _ = fmt.Fprintf(output, "[stage: %s]\n", name) }

	stage("Write")
	for _, folder := range []string{workspace, scratch} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"a.txt": sampleText, "Dockerfile": sampleDockerfile} {
		if err := writeWhole(filepath.Join(workspace, name), []byte(text), 0o644); err != nil {
			return err
		}
	}

	stage("Build")
	if err := docker.Show(ctx, "build", "-t", sampleImage, "."); err != nil {
		return err
	}

	stage("Run")
	if sample.remote {
		return docker.Show(ctx, "run", "--rm", sampleImage)
	}
	if _, err := docker.Read(ctx, "inspect", "-f", ".", sampleImage); err != nil {
		return err
	}
	mounts, err := sample.mounts(ctx, docker, workspace, scratch)
	if err != nil {
		return err
	}
	return sample.inside(ctx, docker, build, mounts, scratch)
}

// mounts are the `docker run` options through which a sibling container sees the workspace: this container's own
// volumes where they hold it, else the folders themselves. On another engine than this container's there is no such
// container, and the plugin takes that for one without volumes (DockerClient.getVolumes): the engine must then have
// the folders at the same paths.
func (sample *Sample) mounts(ctx context.Context, docker Docker, folders ...string) ([]string, error) {
	own, contained := sample.ownContainer()
	if !contained {
		_, _ = fmt.Fprintln(docker.Log, "The controller does not seem to be running inside a container")
		var options []string
		for _, folder := range folders {
			options = append(options, "-v", folder+":"+folder+":rw,z")
		}
		return options, nil
	}
	_, _ = fmt.Fprintf(docker.Log, "The controller seems to be running inside container %s\n", own)
	listed, err := docker.Read(ctx, "inspect", "-f", "{{range .Mounts}}{{.Destination}}\n{{end}}", own)
	if ctx.Err() != nil {
		return nil, err
	}
	var options []string
	for _, folder := range folders {
		inMount := func(mount string) bool { return mount != "" && strings.HasPrefix(folder+"/", mount+"/") }
		if !slices.ContainsFunc(strings.Split(listed, "\n"), inMount) {
			_, _ = fmt.Fprintf(docker.Log, "but %s could not be found among %q\n", folder, listed)
			options = append(options, "-v", folder+":"+folder+":rw,z")
		} else if !slices.Contains(options, own) {
			options = append(options, "--volumes-from", own)
		}
	}
	return options, nil
}

// inside starts the image with `cat` as its command, runs the pipeline's steps in it and removes it again.
func (sample *Sample) inside(ctx context.Context, docker Docker, build Build, mounts []string, scratch string) (err error) {
	label := sample.label(build)
	defer func() { err = errors.Join(err, sample.remove(docker, label)) }()
	arguments := []string{
		"run", "-t", "-d", "-u", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), "-w", docker.Folder,
		"--label", buildLabel + "=" + label,
	}
	arguments = append(arguments, mounts...)
	for _, variable := range []string{
		"BUILD_NUMBER=" + strconv.Itoa(build.Number), "JOB_NAME=" + build.Job, "WORKSPACE=" + docker.Folder,
	} {
		arguments = append(arguments, "-e", variable)
	}
	container, err := docker.Read(ctx, append(arguments, sampleImage, "cat")...)
	if err != nil {
		return err
	}
	listed, err := docker.Read(ctx, "top", container, "-eo", "pid,comm")
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(listed), "cat") {
		return errors.New("the container started but does not run the expected command `cat`")
	}
	// One stream for both, as the `sh` step has it: two would come back in any order, even within a line.
	if err := docker.Show(ctx, "exec", container, "sh", "-c", "sh -xe -c 'cat /a.txt' 2>&1"); err != nil {
		return err
	}
	return sample.proveWorkspace(ctx, docker, container, scratch)
}

// proveWorkspace has the container read back a word that was written here a moment ago: the workspace is the same
// files on both sides, not an empty folder of the host that happens to have its name.
func (sample *Sample) proveWorkspace(ctx context.Context, docker Docker, container, scratch string) error {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails: see crypto/rand
	word, path := hex.EncodeToString(random), filepath.Join(scratch, "seen-by-the-container")
	if err := writeWhole(path, []byte(word), 0o644); err != nil {
		return err
	}
	defer func() { _ = os.Remove(path) }()
	seen, err := docker.Read(ctx, "exec", container, "cat", path)
	switch {
	case err != nil:
		return fmt.Errorf("the workspace is not visible inside the container: %w", err)
	case seen != word:
		return fmt.Errorf("the container sees another workspace than the controller: %s differs", path)
	}
	_, _ = fmt.Fprintln(docker.Log, "The container sees the workspace of this build.")
	return nil
}

func (sample *Sample) label(build Build) string {
	return fmt.Sprintf("%s/%s/%d", sample.identity, build.Job, build.Number)
}

// remove stops and removes every container of one build. It finds them by label, so that one whose id never came
// back (the client was stopped in the middle of `docker run`) goes too. It has a time of its own: the build's is over
// when the controller is told to stop.
func (sample *Sample) remove(docker Docker, label string) error {
	ctx, cancel := context.WithTimeout(context.Background(), (stopSeconds-2)*time.Second)
	defer cancel()
	quiet := docker
	quiet.Log = io.Discard
	listed, err := quiet.Read(ctx, "ps", "-aq", "--no-trunc", "--filter", "label="+buildLabel+"="+label)
	if err != nil {
		return err
	}
	for _, container := range strings.Fields(listed) {
		if _, err := docker.Read(ctx, "stop", "--time=1", container); err != nil {
			_, _ = fmt.Fprintf(docker.Log, "%v\n", err) // it may be gone already; the next command decides
		}
		if _, err := docker.Read(ctx, "rm", "-f", "--volumes", container); err != nil {
			return err
		}
	}
	return nil
}

// RemoveLeftovers removes containers of builds that a killed controller of this home left running. Where the engine
// can't be reached it only says so: the page and the API must come up all the same, as Jenkins' would.
func (sample *Sample) RemoveLeftovers() {
	ctx, cancel := context.WithTimeout(context.Background(), stopSeconds*time.Second)
	defer cancel()
	docker := Docker{Command: sample.command, Folder: sample.home, Log: io.Discard}
	listed, err := docker.Read(ctx, "ps", "-a", "--no-trunc", "--filter", "label="+buildLabel,
		"--format", `{{.Label "`+buildLabel+`"}}`)
	if err != nil {
		log.Printf("The Docker engine cannot be used yet, builds will fail: %v", err)
		return
	}
	for label := range strings.FieldsSeq(listed) {
		if !strings.HasPrefix(label, sample.identity+"/") {
			continue
		}
		docker.Log = log.Writer()
		if err := sample.remove(docker, label); err != nil {
			log.Printf("A container of an earlier build is left: %v", err)
		}
	}
}
