-- Words are learnt site by site: how far, of each kind of text.
DROP TABLE search_progress;
CREATE TABLE search_progress (
    site_id         bigint      NOT NULL,
    item_type_id    smallint    NOT NULL,                       -- 6: items of all kinds
    upto_id         bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (site_id, item_type_id)
);
