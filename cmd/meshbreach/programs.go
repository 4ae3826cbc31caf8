package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
)

// registryVariable is the environment variable that stands in for --registry.
const registryVariable = "MESHBREACH_REGISTRY"

// programFlags say where third-party programs come from.
type programFlags struct {
	envoy         string
	paths, images []string // NAME=PATH and NAME=REFERENCE
	registry      string
}

func (f *programFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.envoy, "envoy", "", "path of Envoy; short for --program envoy=PATH")
	flags.StringArrayVar(&f.paths, "program", nil, "NAME=PATH of a third-party program or one of its files; may be repeated")
	flags.StringArrayVar(&f.images, "program-image", nil, "NAME=REFERENCE of an image that contains the program; may be repeated")
	flags.StringVar(&f.registry, "registry", "", "registry, or folder of one, that has the mesh's images; on local, missing programs are taken from them before anything is built (default: $"+registryVariable+", or none)")
	for _, flag := range []string{"program", "program-image"} {
		if err := cmd.RegisterFlagCompletionFunc(flag, assigned); err != nil {
			panic(err) // the flag does not exist: a bug in this program
		}
	}
}

// assigned completes the NAME= of NAME=VALUE.
func assigned(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names := builtin.KnownPrograms()
	for i, name := range names {
		names[i] = name + "="
	}
	return names, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

// from is the registry that was named; empty where none was.
func (f *programFlags) from() string { return cmp.Or(f.registry, os.Getenv(registryVariable)) }

// search is what the flags ask for. It does not look for anything yet.
func (f *programFlags) search() (builtin.Search, error) {
	s := builtin.Search{Registry: f.from()}
	var err error
	if s.Paths, err = assignments("--program", "PATH", f.paths); err != nil {
		return s, err
	}
	if s.Images, err = assignments("--program-image", "REFERENCE", f.images); err != nil {
		return s, err
	}
	if f.envoy != "" {
		if s.Paths["envoy"] != "" {
			return s, fmt.Errorf("--envoy %s and --program envoy=%s: give only one of the two", f.envoy, s.Paths["envoy"])
		}
		s.Paths["envoy"] = f.envoy
	}
	for name, path := range s.Paths {
		if s.Images[name] != "" {
			return s, fmt.Errorf("%s is given as path %s and as image %s: give only one of the two", name, path, s.Images[name])
		}
	}
	return s, nil
}

// assignments reads NAME=VALUE pairs. Each name may occur once.
func assignments(flag, value string, given []string) (map[string]string, error) {
	out := map[string]string{}
	for _, g := range given {
		name, v, ok := strings.Cut(g, "=")
		if !ok || name == "" || v == "" {
			return nil, fmt.Errorf("%s %s: the form is NAME=%s", flag, g, value)
		}
		if err := builtin.CheckNames(name); err != nil {
			return nil, fmt.Errorf("%s %s: %w", flag, g, err)
		}
		if out[name] != "" {
			return nil, fmt.Errorf("%s %s: %s is given twice", flag, g, name)
		}
		out[name] = v
	}
	return out, nil
}
