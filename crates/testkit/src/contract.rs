//! The contract every store keeps, as one suite of stories: a store that runs them all is a store.
//!
//! A back end says how to make a fresh place and how to open a handle on it ([`Place`]), and runs the
//! whole suite by one line in its tests: `larder_testkit::contract_suite!(MyPlace);`. A second handle
//! on the same place stands for a second process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a story fails by panicking"
)]

pub mod bounds;
pub mod budgets;
pub mod build;
pub mod commits;
pub mod damage;
pub mod feed;
pub mod invalidation;
pub mod items;
pub mod leases;
pub mod lists;
pub mod markers;
pub mod moving;
pub mod reconciling;
pub mod searches;
pub mod sheets;
pub mod sweeps;

use larder_core::{Budgets, Store};

/// Where a story's store lives. Dropping it removes everything.
pub trait Place: Sized {
    /// What the back end calls its store.
    type Store: Store + Budgets + Clone + 'static;

    /// A place where no store has been yet. Its stores know [`build::VIEW`].
    fn fresh() -> Self;

    /// A new handle on the place's store, as another process has it.
    fn open(&self) -> impl Future<Output = Self::Store>;
}

/// Runs one story to its end, on a current-thread runtime, so that a failure can be repeated.
pub fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(story);
}

/// Makes a test of every story of the contract, for one [`Place`].
#[macro_export]
macro_rules! contract_suite {
    ($place:ty) => {
        $crate::contract_stories! { $place;
            leases: a_placeholder_is_no_hit;
            leases: a_lease_comes_with_as_much_of_the_entry_as_is_wanted;
            leases: one_of_two_processes_wins_a_lease;
            leases: a_lease_past_its_end_is_taken_over;
            leases: a_renewed_lease_holds_and_a_lost_one_is_not_renewed;
            leases: a_lease_from_a_clock_that_was_set_back_is_past;
            leases: a_lease_taken_a_moment_ahead_of_a_slower_caller_holds;
            leases: a_wish_that_was_overtaken_gets_the_newer_row;
            leases: tokens_grow_across_evictions;
            leases: an_interrupted_attempt_is_not_counted;
            commits: what_is_committed_is_looked_up;
            commits: a_late_commit_is_superseded_and_only_logged;
            commits: an_evicted_entrys_commit_is_superseded;
            commits: a_commit_that_fails_leaves_nothing_behind;
            commits: an_empty_result_is_a_hit;
            commits: a_failure_keeps_the_data_and_ends_the_lease;
            commits: versions_count_what_a_reader_sees;
            commits: a_version_never_names_two_things;
            commits: items_are_counted_for_the_log;
            commits: the_log_is_newest_first_and_by_entry;
            commits: everything_about_an_entry_survives_the_way_through;
            items: a_partial_answer_keeps_the_fields_it_does_not_know;
            items: a_newer_item_is_not_overwritten_by_an_older_one;
            items: of_two_fetches_of_an_item_the_one_that_began_later_stands;
            items: an_item_from_a_wrong_clock_is_overwritten;
            items: an_item_in_two_entries_is_stored_once_and_announced_for_both;
            items: members_keep_their_order_and_their_states;
            items: an_evicted_entrys_items_go_unless_another_holds_them;
            items: validators_go_when_what_they_speak_of_is_changed_by_another;
            items: a_fetch_does_not_confirm_what_another_changed_meanwhile;
            items: what_another_changed_meanwhile_is_made_good_by_the_next_fetch;
            bounds: one_item_that_cannot_be_kept_takes_no_other_along;
            bounds: an_older_copy_of_what_cannot_be_kept_stays;
            bounds: what_is_just_within_bounds_is_kept_by_every_store;
            bounds: an_import_leaves_out_what_cannot_be_kept;
            invalidation: one_key_is_stale_and_kept;
            invalidation: a_source_a_tag_and_everything_can_be_invalidated;
            invalidation: an_invalidation_in_flight_wins;
            invalidation: a_tag_invalidated_before_the_fetch_brings_it_wins;
            invalidation: a_subset_does_not_answer_an_invalidation;
            invalidation: a_backoff_ends_by_invalidation;
            invalidation: a_mark_is_due_until_a_fetch_that_began_later;
            invalidation: a_readers_mark_leaves_what_is_retried_to_its_retry;
            invalidation: a_readers_mark_ends_no_backoff;
            invalidation: a_wait_noted_by_a_clock_that_was_ahead_is_over;
            invalidation: dead_entries_get_a_new_start;
            invalidation: what_wants_a_refresh_is_due_in_order;
            markers: two_thousand_entries_are_invalidated_by_one_line;
            markers: a_marker_ends_one_backoff_and_not_the_next;
            markers: a_fetch_under_way_loses_though_the_marker_was_swept;
            markers: what_is_fetched_after_a_marker_is_fresh;
            markers: what_is_made_after_a_marker_is_not_met_by_it;
            markers: a_marker_set_again_means_all_anew;
            markers: the_newest_of_many_markers_counts;
            reconciling: edited_entries_are_due_and_lose_what_they_no_longer_name;
            reconciling: unconfigured_entries_are_remembered_and_forgiven;
            reconciling: who_works_on_an_entry_has_it_configured;
            reconciling: another_configuration_silences_no_retry;
            reconciling: what_an_edit_took_away_is_missed_by_the_old_definition;
            sweeps: a_sweep_begins_once_in_its_time;
            sweeps: a_sweep_whose_end_nobody_noted_is_due_again_soon;
            sweeps: failed_entries_without_data_go_after_their_time;
            sweeps: what_is_only_retried_goes_after_its_time;
            sweeps: unconfigured_entries_go_after_their_time;
            sweeps: what_any_configuration_names_now_and_then_stays;
            sweeps: what_goes_by_the_thousand_goes_as_one_does;
            sweeps: the_log_and_the_feed_have_their_lengths;
            sweeps: looks_that_found_all_as_it_was_leave_few_lines;
            sweeps: a_live_lease_is_never_swept;
            feed: a_reader_resumes_where_it_stopped;
            feed: a_reader_that_fell_behind_starts_over;
            feed: what_goes_at_once_is_told_by_key;
            feed: what_nobody_sees_is_not_announced;
            feed: the_first_failure_and_the_recovery_are_announced;
            lists: only_members_of_the_asked_entries_are_listed;
            lists: hidden_members_are_not_listed;
            lists: lists_sort_both_ways_with_missing_values_last;
            lists: lists_filter_by_text_list_flag_number_and_time;
            lists: lists_search_by_the_beginnings_of_words;
            lists: nothing_that_is_typed_breaks_a_search;
            lists: a_large_list_is_the_same_list;
            lists: rows_come_in_pages_and_their_members_are_counted_apart;
            lists: a_store_says_what_it_is_and_finds_no_damage;
            searches: names_come_first_the_exact_one_before_all_others;
            searches: marks_around_what_is_typed_leave_names_first;
            searches: a_search_by_rank_is_filtered_and_shows_what_a_list_would;
            searches: pages_of_a_list_are_the_list;
            searches: a_broad_search_is_the_same_in_pages;
            searches: letters_are_folded_alike_in_every_script;
            searches: what_others_have_by_the_thousand_hides_nothing;
            searches: what_other_entries_have_by_the_thousand_hides_nothing;
            searches: a_flag_that_few_have_is_found_among_any_number_of_matches;
            searches: half_an_answer_hides_nothing_from_a_search;
            searches: a_list_is_counted_as_far_as_it_pays;
            sheets: a_sheet_holds_while_its_entry_looks_as_it_did;
            sheets: a_sheet_goes_with_what_another_entry_changes;
            sheets: a_sheet_of_an_evicted_entry_is_gone;
            sheets: the_beginning_of_a_sheet_is_read_by_itself;
            sheets: only_what_the_entry_is_now_is_kept;
            moving: a_moved_cache_answers_alike;
            moving: importing_twice_is_importing_once;
            moving: what_is_held_and_younger_stays;
            moving: nothing_comes_in_of_an_entry_that_stays;
            moving: what_an_import_changes_nobody_confirms;
            moving: an_imported_version_names_nothing_else;
            moving: what_is_restored_counts_as_wanted_from_then_on;
            moving: what_failed_in_the_year_0_keeps_nothing_else_from_being_due;
            budgets: concurrent_reservations_never_oversell;
            budgets: the_first_to_ask_finds_out_what_the_limit_is;
            budgets: a_killed_holders_reservation_comes_back;
            budgets: answers_that_overtake_each_other_never_raise_what_is_left;
            budgets: a_windows_end_wavers_and_its_lowest_figure_still_holds;
            budgets: a_window_noted_by_a_clock_that_was_ahead_gives_way_to_the_true_one;
            budgets: what_an_answer_was_told_too_early_is_not_believed;
            budgets: a_primary_limit_blocks_its_resource_and_a_secondary_one_the_actor;
            budgets: an_outage_keeps_everybody_back;
            budgets: what_a_clock_that_was_ahead_noted_is_forgotten;
            budgets: the_longest_wait_holds_by_a_clock_that_is_a_little_behind;
            budgets: a_minutes_points_are_counted;
            budgets: an_actor_is_remembered_by_credential;
        }
    };
}

/// What [`contract_suite!`] is made of.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_stories {
    ($place:ty; $($module:ident: $story:ident;)*) => {
        $(
            #[test]
            fn $story() {
                $crate::contract::run($crate::contract::$module::$story::<$place>());
            }
        )*
    };
}
