DROP TABLE maintainers;
