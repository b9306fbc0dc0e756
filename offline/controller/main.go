// Command controller stands in for the Jenkins controller where no image can be pulled.
//
// It is not Jenkins and says so on its page. It answers the part of Jenkins' HTTP API that this project uses, with
// Jenkins' status codes and headers, and runs the one sample pipeline with the docker CLI, the way the Docker Pipeline
// plugin would. Started under the name "curl" it is the few options of curl that the container's health check needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// stopSeconds is how long a running build may take to end and clean up once the controller is told to stop. It stays
// below the ten seconds that `docker stop` grants unless told otherwise.
const stopSeconds = 8

func main() {
	if filepath.Base(os.Args[0]) == "curl" {
		os.Exit(curl(os.Args[1:], os.Stdout, os.Stderr))
	}
	listen := flag.String("listen", ":8080", "address and port of the web page and the API")
	flag.Parse()
	log.SetFlags(log.LstdFlags | log.LUTC)
	log.SetOutput(os.Stdout)
	if err := run(*listen); err != nil {
		log.Printf("The stand-in controller stops: %v", err)
		os.Exit(1)
	}
}

// run serves until SIGTERM or SIGINT. The port is open before the settings are read, so that a client sees
// 503 "starting", as it does with Jenkins, rather than a refused connection.
func run(listen string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("port not free: %w", err)
	}
	site := NewSite()
	server := &http.Server{Handler: site, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	home := homeFolder()
	settings, err := ReadSettings(home, os.Getenv("CASC_JENKINS_CONFIG"), "/usr/share/jenkins/ref")
	if err != nil {
		return err
	}
	store, err := OpenStore(home)
	if err != nil {
		return err
	}
	sample, err := NewSample(home)
	if err != nil {
		return err
	}
	sample.remote = settings.Remote
	sample.RemoveLeftovers()
	controller := NewController(settings, store, sample)

	var worker sync.WaitGroup
	worker.Go(func() { controller.Work(ctx) })
	site.Ready(controller)
	log.Printf("This is the stand-in for closed networks, not Jenkins. Ready on %s (setup %s, %d job(s)).",
		listener.Addr(), settings.Setup, len(settings.Jobs))

	select {
	case <-ctx.Done():
	case err := <-served:
		return err
	}
	log.Print("Told to stop: ending the running build, then closing.")
	worker.Wait()
	closing, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := server.Shutdown(closing); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// homeFolder is $JENKINS_HOME, or the folder at which Jenkins' image has its volume.
func homeFolder() string {
	if home := os.Getenv("JENKINS_HOME"); home != "" {
		return home
	}
	return "/var/jenkins_home"
}
