"""What a brand's finance team estimates for its reports: kept for ever, with the method and the inputs."""
