"""The names of the keys in a GitLab Runner's config.toml, by section.

Source: GitLab Runner's own definition of its configuration, release 19.3.0. A key that it does not know it passes over
without a word, so a test compares.
"""

from typing import Final

_PLACES: Final = {
    "": """
        check_interval concurrent connection_max_age experimental labels listen_address log_format log_level
        machine runners sentry_dsn session_server shutdown_timeout user
    """,
    "runners": """
        artifact autoscaler builds_dir cache cache_dir clean_git_config clone_url custom custom_build_dir
        debug_trace_disabled docker environment executor experimental feature_flags get_sources_timeout id
        instance job_status_final_update_retry_limit kubernetes labels limit machine monitoring name
        output_limit parallels post_build_script post_get_sources_script pre_build_script
        pre_get_sources_script prepare_timeout proxy_exec referees request_concurrency
        safe_directory_checkout shell slot_cgroup_template ssh step_runner_image strict_check_interval
        tls-ca-file tls-cert-file tls-key-file token token_expires_at token_obtained_at unhealthy_interval
        unhealthy_requests_limit url use_slot_cgroups virtualbox
    """,
    "runners.docker": """
        allowed_images allowed_privileged_images allowed_privileged_services allowed_pull_policies
        allowed_services allowed_users cache_dir cap_add cap_drop cgroup_parent container_labels cpu_shares
        cpus cpuset_cpus cpuset_mems device_cgroup_rules devices disable_cache disable_entrypoint_overwrite
        dns dns_search enable_ipv6 extra_hosts gpus group_add helper_image helper_image_flavor host hostname
        image ipcmode isolation links log_options mac_address memory memory_reservation memory_swap
        network_mode network_mtu oom_kill_disable oom_score_adjust pid_mode privileged pull_policy runtime
        security_opt service_cgroup_parent service_cpu_shares service_cpus service_cpuset_cpus service_gpus
        service_memory service_memory_reservation service_memory_swap service_slot_cgroup_template services
        services_devices services_limit services_privileged services_security_opt services_tmpfs shm_size
        sysctls tls_cert_path tls_verify tmpfs ulimit user userns_mode volume_driver volume_driver_ops
        volume_keep volumes volumes_from wait_for_services_timeout
    """,
    "runners.kubernetes": """
        affinity allow_privilege_escalation allowed_groups allowed_images allowed_pull_policies
        allowed_services allowed_users automount_service_account_token autoscaler bearer_token
        bearer_token_overwrite_allowed build_container_security_context ca_file cap_add cap_drop cert_file
        cleanup_grace_period_seconds cleanup_resources_timeout container_lifecycle context cpu_limit
        cpu_limit_overwrite_max_allowed cpu_request cpu_request_overwrite_max_allowed dns_config dns_policy
        ephemeral_storage_limit ephemeral_storage_limit_overwrite_max_allowed ephemeral_storage_request
        ephemeral_storage_request_overwrite_max_allowed helper_container_security_context helper_cpu_limit
        helper_cpu_limit_overwrite_max_allowed helper_cpu_request helper_cpu_request_overwrite_max_allowed
        helper_ephemeral_storage_limit helper_ephemeral_storage_limit_overwrite_max_allowed
        helper_ephemeral_storage_request helper_ephemeral_storage_request_overwrite_max_allowed helper_image
        helper_image_autoset_arch_and_os helper_image_flavor helper_memory_limit
        helper_memory_limit_overwrite_max_allowed helper_memory_request
        helper_memory_request_overwrite_max_allowed host host_aliases image image_pull_secrets
        init_permissions_container_security_context key_file logs_base_dir memory_limit
        memory_limit_overwrite_max_allowed memory_request memory_request_overwrite_max_allowed namespace
        namespace_overwrite_allowed namespace_per_job node_selector node_selector_overwrite_allowed
        node_tolerations node_tolerations_overwrite_allowed pod_annotations
        pod_annotations_overwrite_allowed pod_cpu_limit pod_cpu_limit_overwrite_max_allowed pod_cpu_request
        pod_cpu_request_overwrite_max_allowed pod_disruption_budget pod_labels pod_labels_overwrite_allowed
        pod_memory_limit pod_memory_limit_overwrite_max_allowed pod_memory_request
        pod_memory_request_overwrite_max_allowed pod_security_context pod_spec
        pod_termination_grace_period_seconds poll_interval poll_timeout print_pod_warning_events
        priority_class_name privileged pull_policy resource_availability_check_max_attempts
        retry_backoff_max retry_limit retry_limits runtime_class_name scheduler_name scripts_base_dir
        service_account service_account_overwrite_allowed service_container_security_context
        service_cpu_limit service_cpu_limit_overwrite_max_allowed service_cpu_request
        service_cpu_request_overwrite_max_allowed service_ephemeral_storage_limit
        service_ephemeral_storage_limit_overwrite_max_allowed service_ephemeral_storage_request
        service_ephemeral_storage_request_overwrite_max_allowed service_memory_limit
        service_memory_limit_overwrite_max_allowed service_memory_request
        service_memory_request_overwrite_max_allowed services use_service_account_image_pull_secrets volumes
    """,
    "runners.kubernetes.pod_security_context": """
        app_armor_profile fs_group run_as_group run_as_non_root run_as_user seccomp_profile selinux_type
        supplemental_groups
    """,
    "runners.kubernetes.pod_security_context.seccomp_profile": """
        localhost_profile type
    """,
    "runners.kubernetes.build_container_security_context": """
        allow_privilege_escalation app_armor_profile capabilities privileged proc_mount
        read_only_root_filesystem run_as_group run_as_non_root run_as_user seccomp_profile selinux_type
    """,
    "runners.kubernetes.volumes": """
        config_map csi empty_dir host_path nfs pvc secret
    """,
    "runners.kubernetes.volumes.secret": """
        items mount_path name read_only sub_path
    """,
    "runners.kubernetes.volumes.config_map": """
        items mount_path name read_only sub_path
    """,
    "runners.kubernetes.build_container_security_context.capabilities": "add drop",
}

KEYS: Final = {place: frozenset(names.split()) for place, names in _PLACES.items()}
"""By the section's name, its keys and sections."""

FREE: Final = frozenset({"runners.kubernetes.node_selector", "runners.kubernetes.volumes.secret.items"})
"""Maps whose keys are the user's own."""
