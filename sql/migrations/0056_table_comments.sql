-- Tables whose names differ from the trade's term say the term (docs/glossary.md). Reads and writes go on meanwhile.

SET LOCAL lock_timeout = '5s';

COMMENT ON TABLE attempt_counters IS
    'Rate-limit counters: attempts of a subject in a window of time, shared by all nodes';
COMMENT ON TABLE criteria IS
    'Automatic group rules: conditions on profiles; a profile that meets those of a role is in it';
COMMENT ON TABLE event_cursors IS
    'Consumer offsets: the number up to which each reader has worked through a site''s events';
COMMENT ON TABLE event_heads IS 'Last sequence number given to an event of each site';
COMMENT ON TABLE event_log IS 'Change feed: one row for each committed write, partitioned by time';
COMMENT ON TABLE event_sequence IS
    'Sequence numbers of events, in the order of commits, without gaps within a site';
COMMENT ON TABLE event_sequencer IS
    'Sequencer snapshot: the one row holds the snapshot up to which events are numbered';
COMMENT ON TABLE file_strays IS 'Orphan candidates: objects in the store that may have no row in files';
COMMENT ON TABLE file_usage IS
    'Storage quota usage: bytes uploaded by each profile; profile 0 is the whole site';
COMMENT ON TABLE file_variants IS 'Thumbnails: pictures in other sizes';
COMMENT ON TABLE huddles IS 'Private message threads: the part of an item that only huddles have';
COMMENT ON TABLE ignores IS 'Mutes: people, microcosms and items that a profile does not want to see';
COMMENT ON TABLE import_origins IS 'Import sources: the former forums whose content a site took over';
COMMENT ON TABLE imported_items IS 'Legacy id map: ids in the former forum, and the things that came of them';
COMMENT ON TABLE item_authors IS 'Comment counts by author: live comments of each profile in each item';
COMMENT ON TABLE items IS 'Topics: conversations, events, polls and huddles';
COMMENT ON TABLE leases IS
    'Leases with fencing tokens: the one process at a time that leads a task, and its epoch';
COMMENT ON TABLE link_hits IS 'Click counters of short links';
COMMENT ON TABLE link_uses IS 'Link references: which revision of a comment holds which short link';
COMMENT ON TABLE microcosm_counts IS
    'Counters of microcosms, without the rows of microcosm_deltas that are not folded yet';
COMMENT ON TABLE microcosm_deltas IS
    'Pending counter increments: added to microcosm_counts by readers, folded into it later';
COMMENT ON TABLE microcosms IS 'Categories: the tree in which items are written';
COMMENT ON TABLE one_time_secrets IS 'TOTP secrets (RFC 6238), one for each user';
COMMENT ON TABLE profiles IS 'Members: a user on a site';
COMMENT ON TABLE read_marks IS 'Last-read positions: the time up to which a profile has read a thing';
COMMENT ON TABLE right_changes IS 'Permission invalidation log: users whose rights changed, by transaction';
COMMENT ON TABLE role_profiles IS 'Group members by name: profiles that were added to a role one by one';
COMMENT ON TABLE role_settlings IS 'Group recomputation queue: roles whose members are to be worked out anew';
COMMENT ON TABLE search_documents IS 'Full-text index: one row for each live text, kept by triggers';
COMMENT ON TABLE search_gone IS
    'Vocabulary removals: words of texts that went, to be taken off search_words by a job';
COMMENT ON TABLE search_progress IS
    'Vocabulary offsets: the id up to which words were learnt from each table';
COMMENT ON TABLE search_words IS
    'Vocabulary of each site, for completion and the correction of typing errors';
COMMENT ON TABLE search_work IS 'Reindexing queue: texts of a site and type that are to be indexed anew';
COMMENT ON TABLE sign_in_places IS
    'Known networks of users: keyed hashes of the networks that they signed in from';
COMMENT ON TABLE single_use IS 'One-time tokens: sign-in codes, OAuth state, nonces, tickets, challenges';
COMMENT ON TABLE site_changes IS
    'Cache invalidation log: transactions that changed what pages of a site show';
COMMENT ON TABLE site_domains IS
    'Custom domains of sites: claimed, proven, unproven (from before proofs), released';
COMMENT ON TABLE site_gravatar IS
    'Avatar import progress: sites that fetch pictures from Gravatar, and up to which profile';
COMMENT ON TABLE site_offers IS 'Ownership transfers: sites that their owners offer to somebody else';
COMMENT ON TABLE site_people IS
    'Member list version: how many profiles a site has, and how often one was added or renamed';
COMMENT ON TABLE site_templates IS
    'Text overrides: legal documents and mail templates of a site in place of the package''s';
COMMENT ON TABLE task_runs IS
    'Job run history: one row for each task and due time, committed with the task''s effect';
COMMENT ON TABLE update_options IS 'Notification preferences of profiles';
COMMENT ON TABLE updates IS
    'Notifications that are meant for one profile; those of what is followed have no rows';
COMMENT ON TABLE watchers IS 'Subscriptions: what a profile follows, and by which ways it is notified';
