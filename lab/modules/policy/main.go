// Enforces NetworkPolicies with the library of kube-network-policies, by the netfilter queue alone.
package main

import (
	"context"
	"flag"
	"strings"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the cluster")
	node := flag.String("hostname-override", "", "the node whose pods are judged")
	queue := flag.Int("nfqueue-id", 0, "where the lab's own rules queue packets")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		panic(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	found := informers.NewSharedInformerFactory(client, 0)
	policies, core := found.Networking().V1().NetworkPolicies(), found.Core().V1()
	controller, err := networkpolicy.NewController(
		client, policies, core.Namespaces(), core.Pods(), nil, nil, nil, nil,
		networkpolicy.Config{
			QueueID: *queue, NodeName: *node,
			// The library's own rules fail on a kernel without CONFIG_NFT_QUEUE, at each change of a pod. When the kernel
			// takes their chains back, it drops every packet in the queue: a DNS query is then lost for 5 s (20 builds at
			// once took 26 to 33 s with them, and 17 s without). With a table whose name is longer than the 255 that the
			// kernel takes, they fail before there is a chain.
			NFTableName: strings.Repeat("x", 256),
		},
	)
	if err != nil {
		panic(err)
	}
	found.Start(context.Background().Done())
	panic(controller.Run(context.Background()))
}
