//! The daemon as its clients see it: over its socket, with real containers.
//!
//! Needs root. Each test has a daemon of its own with its own roots, bridge and subnet, and at its end proves
//! that nothing of it stays (`rig`).

mod answers;
mod api;
mod copies;
mod hosts;
mod lives;
mod restarts;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use rig::Rig;

/// One test.
type Test = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = if arguments.list {
        None
    } else {
        Rig::Drydock.missing()
    };
    let tests: &[(&str, Test)] = &[
        (
            "ping_has_dockers_headers",
            answers::ping_has_dockers_headers,
        ),
        (
            "a_large_body_for_what_is_not_built",
            answers::a_large_body_for_what_is_not_built,
        ),
        (
            "versions_and_unknown_routes",
            answers::versions_and_unknown_routes,
        ),
        (
            "a_refused_create_changes_nothing",
            answers::a_refused_create_changes_nothing,
        ),
        (
            "the_filter_reference_cuts_an_images_names",
            answers::the_filter_reference_cuts_an_images_names,
        ),
        (
            "a_bad_archive_is_a_status_or_a_message",
            answers::a_bad_archive_is_a_status_or_a_message,
        ),
        (
            "modes_do_not_depend_on_the_umask",
            hosts::modes_do_not_depend_on_the_umask,
        ),
        (
            "one_of_many_gets_the_name",
            answers::one_of_many_gets_the_name,
        ),
        (
            "a_second_daemon_is_refused",
            answers::a_second_daemon_is_refused,
        ),
        (
            "the_end_is_told_to_all_who_wait",
            lives::the_end_is_told_to_all_who_wait,
        ),
        (
            "attached_clients_miss_nothing",
            lives::attached_clients_miss_nothing,
        ),
        (
            "an_exec_code_is_there_when_its_streams_end",
            lives::an_exec_code_is_there_when_its_streams_end,
        ),
        (
            "readers_do_not_wait_for_a_stop",
            lives::readers_do_not_wait_for_a_stop,
        ),
        (
            "a_followed_log_ends_with_its_container",
            lives::a_followed_log_ends_with_its_container,
        ),
        (
            "stop_and_kill_hold_against_the_restart_policy",
            lives::stop_and_kill_hold_against_the_restart_policy,
        ),
        (
            "a_failed_start_leaves_nothing",
            lives::a_failed_start_leaves_nothing,
        ),
        (
            "events_come_in_dockers_order",
            lives::events_come_in_dockers_order,
        ),
        (
            "a_copier_sees_the_container_alone",
            copies::a_copier_sees_the_container_alone,
        ),
        (
            "a_copier_ends_with_its_daemon",
            copies::a_copier_ends_with_its_daemon,
        ),
        (
            "an_archive_that_breaks_off_has_no_end",
            copies::an_archive_that_breaks_off_has_no_end,
        ),
        (
            "a_link_swapped_meanwhile_leads_nowhere",
            copies::a_link_swapped_meanwhile_leads_nowhere,
        ),
        (
            "a_killed_daemon_loses_nothing",
            restarts::a_killed_daemon_loses_nothing,
        ),
        (
            "a_commit_that_was_cut_off_leaves_nothing",
            restarts::a_commit_that_was_cut_off_leaves_nothing,
        ),
        (
            "half_done_work_is_settled",
            restarts::half_done_work_is_settled,
        ),
        (
            "without_live_restore_all_is_stopped",
            restarts::without_live_restore_all_is_stopped,
        ),
        (
            "restart_policies_count_and_stop",
            restarts::restart_policies_count_and_stop,
        ),
    ];
    let unless_missing = |trial: Trial, missing: Option<&str>| match missing {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    };
    let mut trials: Vec<Trial> = tests
        .iter()
        .map(|(name, test)| unless_missing(Trial::test(*name, test), missing.as_deref()))
        .collect();
    trials.push(unless_missing(
        Trial::test(
            "the_firewall_is_put_in_place_again",
            hosts::the_firewall_is_put_in_place_again,
        ),
        missing.as_deref().or(hosts::missing_nft()),
    ));
    libtest_mimic::run(&arguments, trials).exit_code()
}
