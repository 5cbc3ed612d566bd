-- How often a link is used on one site.
CREATE INDEX link_uses_site ON link_uses (site_id, link_id, comment_id);
