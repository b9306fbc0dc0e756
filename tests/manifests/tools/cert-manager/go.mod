// cert-manager, of which only the definition of its own kinds is read.
module ci.local/cert-manager

go 1.24.0

require github.com/cert-manager/cert-manager v1.21.2
