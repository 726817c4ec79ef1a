package cri

import "testing"

func TestOperations(t *testing.T) {
	for call, want := range map[string]string{
		"RunPodSandbox": "run_podsandbox", "PodSandboxStatus": "podsandbox_status", "ListPodSandbox": "list_podsandbox", "CreateContainer": "create_container",
		"ExecSync": "exec_sync", "ImageFsInfo": "image_fs_info", "UpdateContainerResources": "update_container", "Version": "version",
	} {
		if got := operation("/runtime.v1.RuntimeService/" + call); got != want {
			t.Errorf("%s: %s, want %s", call, got, want)
		}
	}
}
