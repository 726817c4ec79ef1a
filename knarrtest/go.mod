module github.com/knarr-io/knarr/knarrtest

go 1.25
