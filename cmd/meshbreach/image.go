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
		Short: "Write the probe's image, for an existing cluster",
		Long: `Writes the image of the probe, which runs in every test workload, in the format of
docker save. Push it to a registry that your cluster can pull from. meshbreach never
pushes images. The same probe always gives the same image.`,
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
			_, err = fmt.Fprintf(cmd.OutOrStdout(), `%s is in %s. To push it to your registry and use it:
  docker load --input %[2]s
  docker tag %[1]s REGISTRY/meshbreach-probe:1
  docker push REGISTRY/meshbreach-probe:1
  meshbreach run --provider existing --context NAME --probe-image REGISTRY/meshbreach-probe:1
`, ref, file)
			return err
		},
	}
	cmd.Flags().StringVar(&probe, "probe", "", "path of the probe (default: next to meshbreach, or on PATH)")
	cmd.Flags().StringVar(&file, "out", "probe.tar", "file to write")
	return cmd
}
