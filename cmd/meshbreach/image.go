package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
)

func newImage() *cobra.Command {
	var probe, file string
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Write the image of the probe, for a cluster that exists",
		Long: `Writes the image of the probe, which runs in every workload, as docker save
would. meshbreach never pushes it: a cluster that exists has it from a registry
that its owner chose. The same program makes the same image.`,
		Example: `  meshbreach image
  meshbreach image --out /tmp/probe.tar`,
		Args: takes(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := builtin.Probe(probe)
			if err != nil {
				return err
			}
			ref, err := builtin.ProbeImage(path, file)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), `%s is in %s; to have it where a cluster's nodes can pull it:
  docker load --input %[2]s
  docker tag %[1]s REGISTRY/meshbreach-probe:1
  docker push REGISTRY/meshbreach-probe:1
  meshbreach run --provider existing --context NAME --probe-image REGISTRY/meshbreach-probe:1
`, ref, file)
			return err
		},
	}
	cmd.Flags().StringVar(&probe, "probe", "", "path of the probe (default: beside meshbreach, or on PATH)")
	cmd.Flags().StringVar(&file, "out", "probe.tar", "file to write")
	return cmd
}
