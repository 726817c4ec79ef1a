package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/knarr-io/knarr/internal/app/images"
	"github.com/knarr-io/knarr/internal/app/local"
)

func newImage() *cobra.Command {
	var c clusterFlags
	var node string
	var sockets []string
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Manage the images of this machine's nodes",
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := c.read(cmd); err != nil {
				return err
			}
			if c.Settings, err = local.Recall(c.Settings); err != nil {
				return err
			}
			sockets, err = c.AdminSockets(node)
			return err
		},
	}
	c.registerToFind(cmd.PersistentFlags())
	cmd.PersistentFlags().StringVar(&node, "node", "", "a node of this machine (default: all of them; ls: the first)")
	client := func() images.Nodes { return images.Of(sockets...) }
	cmd.AddCommand(imagePull(client), imageImport(client), imageExport(client), imageList(client), imageRemove(client))
	holdOnly(cmd)
	return cmd
}

func imagePull(client func() images.Nodes) *cobra.Command {
	return &cobra.Command{
		Use: "pull NAME...", Short: "Pull images from their registries", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range args {
				start := time.Now()
				if err := client().Pull(cmd.Context(), name); err != nil {
					return fmt.Errorf("pull %s: %w", name, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "pulled %s in %s\n", name, time.Since(start).Round(time.Millisecond))
			}
			return nil
		},
	}
}

func imageImport(client func() images.Nodes) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "import FILE|FOLDER...",
		Short: "Import images from archives (docker save, OCI layout) or folders",
		Long: `Import images from archives of docker save, or OCI layouts: an archive, gzipped
or not, or a folder. The file - is standard input.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, file := range args {
				if err := importOne(cmd, client(), file, name); err != nil {
					return fmt.Errorf("import %s: %w", file, err)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name for the image, instead of the archive's own")
	return cmd
}

func importOne(cmd *cobra.Command, client images.Nodes, file, name string) error {
	var archive io.Reader = cmd.InOrStdin()
	if file != "-" {
		f, err := openImages(file)
		if err != nil {
			return err
		}
		defer f.Close()
		archive = f
	}
	imported, err := client.Import(cmd.Context(), archive, name)
	if err != nil {
		return err
	}
	for _, i := range imported {
		for _, n := range i.Names {
			fmt.Fprintf(cmd.OutOrStdout(), "imported %s\n", n)
		}
	}
	return nil
}

// openImages opens an archive, or makes one of a folder.
func openImages(path string) (io.ReadCloser, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return images.Directory(path)
	}
	return os.Open(path)
}

func imageExport(client func() images.Nodes) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "export NAME...", Short: "Write images into one archive, for knarr image import or docker load", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "-" {
				return client().Export(cmd.Context(), cmd.OutOrStdout(), args...)
			}
			if err := writeArchive(file, func(w io.Writer) error { return client().Export(cmd.Context(), w, args...) }); err != nil {
				return fmt.Errorf("export %s: %w", strings.Join(args, " "), err)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "-", "file to write; - for standard output")
	return cmd
}

// writeArchive makes a file of what write writes. Where that fails at once, a
// file that is there already stays; half an archive does not.
func writeArchive(path string, write func(io.Writer) error) error {
	f := &lateFile{path: path}
	err := write(f)
	if f.file == nil {
		return err
	}
	if err = errors.Join(err, f.file.Close()); err != nil {
		_ = os.Remove(path)
	}
	return err
}

// lateFile is made, or emptied, when something comes to be written.
type lateFile struct {
	path string
	file *os.File
}

func (f *lateFile) Write(p []byte) (n int, err error) {
	if f.file == nil {
		if f.file, err = os.Create(f.path); err != nil {
			return 0, err
		}
	}
	return f.file.Write(p)
}

func imageList(client func() images.Nodes) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the images of this node", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := client().List(cmd.Context())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 3, ' ', 0)
			fmt.Fprintln(w, "IMAGE\tID\tSIZE\tAGE")
			for _, i := range all {
				names := i.Names
				if len(names) == 0 {
					names = []string{"<none>"}
				}
				for _, n := range names {
					fmt.Fprintf(w, "%s\t%s\t%.1f MiB\t%s\n", n, shortID(i.ID), float64(i.Size)/(1<<20), age(i.Created))
				}
			}
			return w.Flush()
		},
	}
}

func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

func age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return duration.HumanDuration(time.Since(t))
}

func imageRemove(client func() images.Nodes) *cobra.Command {
	return &cobra.Command{
		Use: "rm NAME...", Aliases: []string{"remove"}, Short: "Remove images from this node", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range args {
				if err := client().Remove(cmd.Context(), name); err != nil {
					return fmt.Errorf("remove %s: %w", name, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", name)
			}
			return nil
		},
	}
}
