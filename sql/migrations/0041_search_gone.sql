-- Words of texts that were deleted, hidden or changed, until a job has taken them off what was learnt.
CREATE TABLE search_gone (
    site_id         bigint      NOT NULL,
    gone_id         bigint      GENERATED ALWAYS AS IDENTITY,
    words           text[]      NOT NULL,
    PRIMARY KEY (site_id, gone_id)
);

-- Words of what was deleted before are among those learnt, and no count says which: all are learnt anew, within minutes.
TRUNCATE search_words, search_progress;
