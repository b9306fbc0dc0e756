// The stand-in controller: what a closed network runs in Jenkins' place. It is not Jenkins.
module ci.local/offline/controller

go 1.25.11

require (
	go.yaml.in/yaml/v3 v3.0.6
	golang.org/x/crypto v0.55.0
)
